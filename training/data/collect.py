"""Makes the table of the manifests that were written as the media were collected.

What a manifest says in words is sorted here: which system made a fake, whose voice is heard, who is seen. Names of
people stay out of the table: an identity is a number of its origin, or the name of a corpus.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data import recipes
from training.data.split import parts
from training.data.table import Item, Set, with_parts
from veracity.calibrate.errors import ManifestError

BATCHES = ("first", "second")  # what the two manifests are called in the assembled folder

# The first pattern found in `path how` names the system, and the era of its method: signal processing, neural networks
# of 2017 to 2022, or generative models (diffusion, flow matching, language models). Else the words before a vocoder's.
SYSTEMS: tuple[tuple[str, str, str], ...] = (
    (r"gen_espeak", "eSpeak NG", "signal"),
    (r"gen_griffinlim", "Griffin-Lim", "signal"),
    (r"gen_world", "WORLD", "signal"),
    (r"landmark morph", "landmark morph", "signal"),
    (r"desync", "shifted sound", "signal"),
    (r"CycleGAN-VC2", "CycleGAN-VC2", "neural"),
    (r"__kokoro|Kokoro-82M", "Kokoro", "neural"),
    (r"sherpa__\S*matcha", "Matcha", "generative"),
    (r"sherpa__\S*melo", "Melo", "neural"),
    (r"sherpa__\S*piper|gen_piper", "Piper", "neural"),
    (r"sherpa__\S*mms", "MMS", "neural"),
    (r"sherpa__\S*vits|Mimic 3", "VITS", "neural"),
    (r"project-NN-Pytorch", "NSF", "neural"),
    (r"fast_vocoder", "MambaVoc", "neural"),
    (r"DiffGAN-TTS|DiffSpeech|aux decoder|Grad-TTS|WaveGrad", "", "generative"),
    (r"Fast ?Speech ?2", "FastSpeech 2", "neural"),
    (r"Deep Voice 3|DCTTS", "Deep Voice 3", "neural"),
    (r"TensorFlowTTS|Tacotron 2", "Tacotron 2", "neural"),
    (r"Cotatron", "Cotatron", "neural"),
    (r"Step-Audio|HierSpeech|FLUX|OmniGen|Stable Diffusion|AI-generated", "", "generative"),
    (r"StableAvatar|Loopy|OmniHuman|LaVie|INFP|AniTalker|DreamTalk|AniPortrait", "", "generative"),
    (r"Wav2Lip|wav2lip", "Wav2Lip", "neural"),
    (r"LipForensics|ffpp", "FaceForensics++", "neural"),
)
_VOCODER = re.compile(r"\s*(?:(?<!\+)\+(?!\+)| \(| vocoder).*")
_PREFIX = re.compile(r"^(talking head|audio-driven avatar|audio-driven portrait|listening head|text-to-video|"
                     r"image\+audio-driven human video): ")  # fmt: skip

# Found in `path how licence notes`: voices, corpora and people that several origins share. LibriTTS is LibriSpeech cut
# anew and VoiceBank is of VCTK; the voices of Larynx and Mimic 3 were trained by one person on the same recordings.
SHARED: tuple[tuple[str, str], ...] = (
    (r"LJSpeech|LJ\d{3}-|vits-ljs|ljspeech|deepvoice3|WaveRNN__|DurIAN|vits2_pytorch|tacotron2__", "voice:LJSpeech"),
    (r"VCTK|VoiceBank|vits-vctk|samples__p2\d\d_|deepvoice3|(?<![A-Za-z])p\d{3}_\d{3}", "corpus:VCTK"),
    (r"LibriTTS|LibriSpeech|librispeech|piper-libritts|Real-Time-Voice-Cloning", "corpus:LibriSpeech"),
    (r"(?<!\d)\d{2,4}(-\d{3,6}-\d{4}(?!\d)|_\d{3,6}_\d{6}_)", "corpus:LibriSpeech"),  # its files and LibriTTS's
    (r"[Aa]rctic|cmu_aew|spk=(bdl|slt|clb|rms)", "corpus:CMU Arctic"),
    (r"AISHELL-?3|SSB\d{4}|aishell3", "corpus:AISHELL-3"),
    (r"S0913", "corpus:AISHELL-1"),
    (r"[Tt]horsten", "voice:Thorsten"),
    (r"\bAMI\b", "corpus:AMI"),
    (r"Common ?Voice|common_voice", "corpus:Common Voice"),
    (r"VCC", "corpus:VCC"),
    (r"larynx|mimic3", "corpus:Rhasspy voices"),
    (r"asterisk_(en_US|es_MX)_", "voice:Asterisk en, es"),
    (r"us_congress|us_house|us_senate|face_recognition__", "people:US officials"),
    (r"Wav2Lip|wav2lip|video-lip-sync", "person:stock actor of Wav2Lip"),
    (r"ffpp|FF\+\+|FaceForensics", "corpus:FaceForensics++"),
    (r"styletalk|dreamtalk", "people:StyleTalk, DreamTalk"),
)


@dataclass(frozen=True)
class Row:
    """A row of a manifest, and the batch it belongs to."""

    batch: str
    folder: Path
    values: Mapping[str, str]

    @property
    def origin(self) -> str:
        """Without the place of the file there."""
        source = self.values["source"]
        return source.replace("generated here", "generated") if self.generated else source.rsplit(":", 1)[0]

    @property
    def at(self) -> str:
        """The place of the file at its origin."""
        return "" if self.generated else self.values["source"].split(":", 2)[2]

    @property
    def generated(self) -> bool:
        """Whether the collector made it."""
        return self.values["source"].startswith("generated here")


def rows(folders: Sequence[Path]) -> list[Row]:
    """The rows of the manifests, in the order of :data:`BATCHES`; raises ManifestError."""
    if len(folders) != len(BATCHES):
        raise ManifestError(f"give {len(BATCHES)} folders: those of the first and of the second batch")
    found: dict[tuple[str, str], Row] = {}
    for batch, folder in zip(BATCHES, folders, strict=True):
        try:
            with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
                found |= {(batch, each["path"]): Row(batch, folder, each) for each in csv.DictReader(file)}
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise ManifestError(f"{folder / 'manifest.csv'} cannot be read: {error}") from error
    return list(found.values())


def collect(folders: Sequence[Path], known: Sequence[Item], originals: Path | None) -> list[Item]:
    """Return the items of the manifests, with their parts.

    A recipe that is known stays. The others are sought where there is a folder ``originals``, which holds
    ``owner/name/path`` (and the full hash of the commit in ``owner/name/.commit``): each that may fit is tried.
    """
    sought = originals is not None
    before = {
        (item.place, item.sha256): item.recipe for item in known if not (sought and recipes.is_local(item.recipe))
    }
    commits = {item.set.origin for item in known}
    items, sets = [], dict[tuple[str, ...], Set]()
    for row in rows(folders):
        each, links = _describe(row, originals, commits)
        each = sets.setdefault(_key(each), replace(each, id=_identifier(each)))
        values = row.values
        recipe = before.get((f"{row.batch}/{values['path']}", values["sha256"])) or _recipe(row, originals)
        items.append(Item(each, values["path"], row.at, values["sha256"], recipe, links))
    return with_parts(items, parts(items))


def _describe(row: Row, originals: Path | None, commits: set[str]) -> tuple[Set, tuple[str, ...]]:
    values = row.values
    system, era = _system(values) if values["label"] == "fake" else ("", "")
    notes = dict(note.split("=", 1) for note in values["notes"].split("; ") if re.match(r"(pair|id)=\S+$", note))
    links = [f"pair:{notes['pair']}"] if "pair" in notes else []
    if notes.get("id", "generated") != "generated":
        links.append(f"person:{notes['id']}")
    told = " ".join(values[name] for name in ("path", "how", "licence", "notes", "source"))
    groups = tuple(dict.fromkeys((_source(row), *(group for pattern, group in SHARED if re.search(pattern, told)))))
    origin = _full(row.origin, originals, commits)
    return Set("", row.batch, origin, values["kind"], values["label"], values["how"], values["licence"], values["use"],
               system, era, groups), tuple(links)  # fmt: skip


def _system(values: Mapping[str, str]) -> tuple[str, str]:
    told = f"{values['path']} {values['how']}"
    name, era = next(((name, era) for pattern, name, era in SYSTEMS if re.search(pattern, told)), ("", "neural"))
    return name or _VOCODER.sub("", _PREFIX.sub("", values["how"])), era


def _source(row: Row) -> str:
    """The origin as a group; of sherpa, which shows other people's systems, each of its folders."""
    name = row.origin.partition("@")[0].partition("=")[0]
    if name == "github:k2-fsa/sherpa":
        return f"source:{name}/{row.at.removeprefix('docs/source/_static/').partition('/')[0]}"
    return f"source:{name}"


def _full(origin: str, originals: Path | None, commits: set[str]) -> str:
    """The origin by the whole hash of its commit, where that is known."""
    name, _, commit = origin.removeprefix("github:").partition("@")
    told = originals / name / ".commit" if originals and commit else None
    if told and told.is_file():
        return f"github:{name}@{told.read_text().strip()}"
    return next((known for known in commits if commit and known.startswith(origin)), origin)


def _key(each: Set) -> tuple[str, ...]:
    return (each.batch, each.origin, each.kind, each.label, each.how, each.licence, each.use, each.system, *each.groups)


def _identifier(each: Set) -> str:
    """Readable, and the same whenever the table is made."""
    name = re.split(r"[@=]| \d", each.origin.removeprefix("generated: "))[0].rpartition("/")[2].rpartition(":")[2]
    digest = hashlib.sha256("\n".join(_key(each)).encode()).hexdigest()[:4]
    return f"{each.kind}-{each.label}-{re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-')}-{digest}"


def _recipe(row: Row, originals: Path | None) -> str:
    """The first recipe that makes the very file; where the original is not at hand, the one that made its like."""
    if row.generated:
        return "local: made by the collector"
    kind, original = row.values["kind"], _original(row, originals)
    if original is None:
        if row.batch == "first":  # no recorded exception in the batch
            return "sound" if kind == "audio" else "as-is"
        return "local: cut or coded by the collector, and where the cut begins was not written down"
    for recipe in _candidates(row, original):
        try:
            made = recipes.make(recipe, original)
        except recipes.RecipeError:
            continue
        if hashlib.sha256(made).hexdigest() == row.values["sha256"]:
            return recipe
    return "local: cut or coded by the collector in a way that was not written down"


def _original(row: Row, originals: Path | None) -> Path | None:
    if originals is None:
        return None
    scheme, _, rest = row.origin.partition(":")
    place = originals / re.split(r"[@=]", rest if scheme == "github" else f"{scheme}/{rest}")[0] / row.at
    return place if place.is_file() else None


def _candidates(row: Row, original: Path) -> Iterator[str]:
    from PIL import Image

    yield "as-is"
    if row.values["kind"] == "audio" and row.batch == "first":
        yield "sound"
    elif row.values["kind"] == "audio":
        yield from _speech(row, original)
    elif row.values["kind"] == "video":
        yield "cut"
    else:
        yield "jpegtran"
        crop = re.search(r"cut to (\d+x\d+) at (\d+,\d+)", row.values["notes"])
        for quality in ("86", "95"):
            yield f"jpeg {quality} {crop[1]} {crop[2]}" if crop else f"jpeg {quality}"
        with Image.open(row.folder / row.values["path"]) as item:
            yield f"scaled {item.width}x{item.height}"


def _speech(row: Row, original: Path) -> Iterator[str]:
    """Where in the original the item begins: where the two are most alike."""
    import numpy as np
    import soundfile

    item, _ = soundfile.read(row.folder / row.values["path"], dtype="float32")
    try:
        whole = recipes.resampled(original)
    except recipes.RecipeError:  # headerless sound, whose rate nobody states
        return
    size = 1 << (len(whole) + len(item)).bit_length()
    alike = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(item, size)), size)
    yield f"speech {int(alike[: len(whole)].argmax())} {len(item)}"
