"""Layer 3's fallback: SyncNet measures whether mouth and sound belong together, not whether they are forged."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import Batching, Model, Tensor

SIDE = 224  # pixels of the face
FRAMES = 5  # that it sees at once: 0.2 s
# its 20 windows of 25 ms every 10 ms over that time, and the sample before them, which pre-emphasis reads
SOUND_SAMPLES = 1 + 19 * 160 + 400

WEIGHTS = Source(
    "syncnet_v2.pt",
    "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
    "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
    54_573_114,
    "MIT",
    "https://github.com/joonson/syncnet_python",
    ("syncnet_v2.model",),
)

# Both towers in one graph: a window of five faces, and the sound of the same 0.2 s.
MODEL = Model(
    name="lipsync_syncnet",
    layer="lipsync",
    kind="veracity.evidence.syncnet:SyncNet",
    pool="",
    inputs=(Tensor("FACES", "UINT8", (FRAMES, SIDE, SIDE, 3)), Tensor("SOUND", "INT16", (SOUND_SAMPLES,))),
    outputs=(Tensor("FACES_EMBEDDING", "FP32", (1024,)), Tensor("SOUND_EMBEDDING", "FP32", (1024,))),
    # A second of one face is 21 windows, 8 to a request.
    batching=Batching(max_batch=32, request_items=8, preferred=(8, 16), delay_us=5_000),
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.syncnet",
    golden={"syncnet": "export.detectors.syncnet"},
    sources=(WEIGHTS,),
)
