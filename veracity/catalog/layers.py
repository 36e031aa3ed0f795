"""THE table: layers, their models, tensors, preprocessing numbers, origins and licences.

Whatever stands here and in a config.pbtxt as well is held equal by ``tests/server/test_model_repository.py``.
Polarity is inside every graph: ``FAKE_LOGIT`` is the natural-log odds of *fake*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from veracity_client.verdict import LayerName

SAMPLE_RATE = 16_000  # Hz, mono
WINDOW_SAMPLES = 64_600  # 4.0375 s: what AASIST and RawNet2 were published with
FPS = 25  # the constant time base of all frame indices

AUDIO_WINDOWS = 8  # a clip at most: 32 s of speech, spread over the clip
FACE_FRAMES = 32  # SelfBlendedImages' and the DFDC winner's number
MOUTH_FRAMES = 25  # consecutive frames a clip: LipForensics' second
MOUTH_CLIPS = 4  # LipForensics read 110 frames of a video at most
MOUTH_SIZE = 96  # pixels; the graph cuts the centre 88 out
LIP_SIZE = 144  # pixels of the aligned face, where eyes lie 53 apart: from above the eyes to below the chin
LIP_SAMPLES = (10 + MOUTH_FRAMES + 10) * SAMPLE_RATE // FPS  # the sound from 10 frames before a clip to 10 after it
SYNC_FRAMES = 5  # that SyncNet sees at once: 0.2 s
# its 20 windows of 25 ms every 10 ms over that time, and the sample before them, which pre-emphasis reads
SYNC_SAMPLES = 1 + 19 * 160 + 400
SEMANTIC_FRAMES = 8  # of 82 films not learned from the AUC is 0.983 with 4 or 8 of them and 0.985 with 16
MAX_FACES = 16  # the detector's answers a frame
DETECTOR_STRIDE = 32  # the detector's input sides are multiples of it


@dataclass(frozen=True)
class Layer:
    """One kind of evidence."""

    number: int
    name: LayerName
    looks_at: str
    about: Literal["audio", "video"]  # the kind of track it needs
    needs_faces: bool = False

    @property
    def key(self) -> str:
        """The layer's name in a verdict, ``1_audio``."""
        return f"{self.number}_{self.name}"


LAYERS = (
    Layer(1, "audio", "the voice", "audio"),
    Layer(2, "visual", "the faces", "video", needs_faces=True),
    Layer(3, "lipsync", "the mouths", "video", needs_faces=True),
    Layer(4, "semantic", "the whole picture", "video"),
)


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph, without its batch dimension; -1 is any size."""

    name: str
    dtype: Literal["UINT8", "INT16", "FP32"]
    shape: tuple[int, ...]


FAKE_LOGIT = Tensor("FAKE_LOGIT", "FP32", (1,))


@dataclass(frozen=True)
class Crop:
    """How a face is cut: its box wider by ``margin`` of its sides, stretched to a square or kept in shape on black."""

    margin: float
    stretch: bool


SBI_CROP = Crop(0.125, stretch=True)  # SelfBlendedImages' test crop
DFDC_CROP = Crop(1 / 3, stretch=False)  # the DFDC winner's

# How the scores of a clip's items become the clip's: the mean logit; the same, each item by its seconds; the worst face
# of each frame, then the mean of frames; the face with the highest mean logit; the DFDC winner's "confident strategy";
# SyncNet's offset and confidence.
Pool = Literal["mean", "seconds", "frames", "faces", "confident", "sync"]

# What layer 4 sees of a picture: its middle pixel by pixel, or the whole of it made small.
View = Literal["middle", "whole"]


@dataclass(frozen=True)
class Model:
    """One Triton model: its tensors and where its weights come from.

    ``max_batch`` bounds what the dynamic batcher merges, ``request_items`` what one video puts into one request.
    ``files`` are the fetched ones that ``python -m export NAME`` makes the graph of; none where it ships with the
    repository. ``joined`` is True where those are a frozen encoder and what we taught, a head, ships with the
    repository. ``released`` is False while nobody can have weights: the model's folder and tensors are final.
    ``commercial`` is False where the authors allow research only. ``view`` is what of a picture layer 4 looks at.
    ``least_face`` is the width in pixels of the detector's box under which a face is not asked about.
    """

    name: str
    layer: LayerName | None
    input: Tensor
    outputs: tuple[Tensor, ...]
    max_batch: int
    request_items: int
    licence: str
    homepage: str
    pool: Pool = "mean"
    more_inputs: tuple[Tensor, ...] = ()
    crop: Crop = SBI_CROP
    commercial: bool = True
    released: bool = True
    files: tuple[str, ...] = ()
    joined: bool = False
    view: View = "middle"
    least_face: int = 0

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """All inputs; most models have one."""
        return (self.input, *self.more_inputs)

    @property
    def size(self) -> int:
        """Side in pixels of a square picture input."""
        return self.input.shape[-2]


WAVEFORM = Tensor("WAVEFORM", "INT16", (WINDOW_SAMPLES,))
LIPS = Tensor("LIPS", "UINT8", (MOUTH_FRAMES, LIP_SIZE, LIP_SIZE))
MOUTHS = Tensor("MOUTHS", "UINT8", (MOUTH_FRAMES, MOUTH_SIZE, MOUTH_SIZE))


def _audio(name: str, licence: str, homepage: str, **more: Any) -> Model:
    return Model(name, "audio", WAVEFORM, (FAKE_LOGIT,), 16, 4, licence, homepage, **more)


def _visual(name: str, size: int, cam: int, licence: str, homepage: str, **more: Any) -> Model:
    outputs = (FAKE_LOGIT, Tensor("CAM", "FP32", (cam, cam)))
    face = Tensor("FACE", "UINT8", (size, size, 3))
    return Model(name, "visual", face, outputs, 32, 8, licence, homepage, **({"pool": "frames"} | more))


def _lipsync(name: str, licence: str, homepage: str, sees: Tensor = MOUTHS, **more: Any) -> Model:
    return Model(name, "lipsync", sees, (FAKE_LOGIT,), 8, 2, licence, homepage, pool="faces", **more)


def _semantic(name: str, licence: str, homepage: str, **more: Any) -> Model:
    frame = Tensor("FRAME", "UINT8", (224, 224, 3))
    return Model(name, "semantic", frame, (FAKE_LOGIT,), 16, 4, licence, homepage, **more)


FACE_DETECTOR = Model(
    "face_detector",
    None,
    Tensor("IMAGE", "UINT8", (-1, -1, 3)),
    (
        Tensor("BOXES", "FP32", (MAX_FACES, 4)),
        Tensor("SCORES", "FP32", (MAX_FACES,)),
        Tensor("LANDMARKS", "FP32", (MAX_FACES, 5, 2)),
    ),
    16,
    8,
    "MIT",
    "https://github.com/Star-Clouds/CenterFace",
    files=("centerface.onnx", "astronaut.png"),
)

SYNCNET = Model(
    "lipsync_syncnet",
    "lipsync",
    Tensor("FACES", "UINT8", (SYNC_FRAMES, 224, 224, 3)),
    (Tensor("FACES_EMBEDDING", "FP32", (1024,)), Tensor("SOUND_EMBEDDING", "FP32", (1024,))),
    32,
    8,
    "MIT",
    "https://github.com/joonson/syncnet_python",
    pool="sync",
    more_inputs=(Tensor("SOUND", "INT16", (SYNC_SAMPLES,)),),
    files=("syncnet_v2.pt",),
)

# Pixels. The lesson of visual_starter delivers faces at 80 and more. Of 24 real and 60 fake films that it did not learn
# from its AUC fell from 0.74 to 0.62 when their faces were shrunk to 64, and to 0.55 at 48, where it calls real ones
# fake as well; and the worst of several counts.
LEAST_FACE = 48
OURS = "Apache-2.0"  # our own weights; a joined model's encoder has its authors' licence, which assets.py names
AASIST = "https://github.com/clovaai/aasist"
MODELS = {
    model.name: model
    for model in (
        FACE_DETECTOR,
        _audio(
            "audio_starter",
            OURS,
            "docs/models/audio_starter.md",
            files=("whisper_tiny_en.bin",),
            joined=True,
            pool="seconds",
        ),
        _audio(
            "audio_wav2vec2",
            "Apache-2.0",
            "https://huggingface.co/MelodyMachine/Deepfake-audio-detection-V2",
            files=("wav2vec2_melodymachine.safetensors", "wav2vec2_melodymachine.json"),
        ),
        _audio("audio_aasist", "MIT", AASIST, files=("aasist.pt",)),
        _audio("audio_aasist_l", "MIT", AASIST, files=("aasist_l.pt",)),
        _audio(
            "audio_rawnet2",
            "MIT",
            "https://github.com/asvspoof-challenge/2021",
            files=("rawnet2_asvspoof2021.pt",),
        ),
        _audio("audio_melspec", OURS, "training/nets/melspec.py", released=False),
        _visual("visual_starter", 224, 7, OURS, "docs/models/visual_starter.md", least_face=LEAST_FACE),
        _visual(
            "visual_sbi_b4",
            380,
            12,
            "research only, no redistribution",
            "https://github.com/mapooon/SelfBlendedImages",
            commercial=False,
            files=("sbi_ffc23.pt",),
        ),
        _visual(
            "visual_effnet_b7",
            380,
            12,
            "MIT",
            "https://github.com/selimsef/dfdc_deepfake_challenge",
            pool="confident",
            crop=DFDC_CROP,
            files=("dfdc_b7.pt",),
        ),
        _lipsync(
            "lipsync_starter",
            OURS,
            "docs/models/lipsync_starter.md",
            LIPS,
            more_inputs=(Tensor("SOUND", "INT16", (LIP_SAMPLES,)),),
        ),
        _lipsync(
            "lipsync_lipforensics",
            "MIT",
            "https://github.com/ahaliassos/LipForensics",
            files=("lipforensics_ff.pt",),
        ),
        SYNCNET,
        _semantic(
            "semantic_starter",
            OURS,
            "docs/models/semantic_starter.md",
            files=("clip_vitb16_int8.onnx",),
            joined=True,
            view="whole",
        ),
        _semantic(
            "semantic_clip_vitl14",
            "MIT",
            "https://github.com/WisconsinAIVision/UniversalFakeDetect",
            files=("clip_vitl14.safetensors", "ufd_head.pt"),
        ),
    )
}


def install_hint(model: str, *, untrained: bool = False) -> str:
    """Say what a person does about a model without weights; ``untrained`` where made-up ones are what is wanted."""
    if untrained and model in MODELS and MODELS[model].files and MODELS[model].layer:
        return f"no graph: python -m export {model} --untrained"
    if model in MODELS and not MODELS[model].released:
        return f"weights not installed: none of {model} were released yet"
    if model in MODELS and not MODELS[model].files:
        return f"weights not installed: those of {model} come with this version; bring its 1/model.onnx back"
    return f"weights not installed: veracity weights fetch {model} && python -m export {model}"
