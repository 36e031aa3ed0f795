"""What several detectors have in common: tensors, kinds, pooling and batching."""

from __future__ import annotations

from veracity.catalog.layers import LIP_SIZE, MOUTH_FRAMES, MOUTH_SIZE, WINDOW_SAMPLES
from veracity.catalog.model import Batching, Tensor

OURS = "Apache-2.0"  # our own weights; a joined model's encoder has its authors' licence, which its Source names

WAVEFORM = Tensor("WAVEFORM", "INT16", (WINDOW_SAMPLES,))
LIPS = Tensor("LIPS", "UINT8", (MOUTH_FRAMES, LIP_SIZE, LIP_SIZE))
MOUTHS = Tensor("MOUTHS", "UINT8", (MOUTH_FRAMES, MOUTH_SIZE, MOUTH_SIZE))
FRAME = Tensor("FRAME", "UINT8", (224, 224, 3))


def face(size: int) -> Tensor:
    """Return the tensor of a face, uint8 [size, size, 3]."""
    return Tensor("FACE", "UINT8", (size, size, 3))


def cam(side: int) -> Tensor:
    """Return the tensor of a class-activation map, float32 [side, side]."""
    return Tensor("CAM", "FP32", (side, side))


# Classes of the protocol in veracity/evidence/detector.py
SPEECH_WINDOWS = "veracity.evidence.kinds:SpeechWindows"
FACE_CROPS = "veracity.evidence.kinds:FaceCrops"
MOUTH_RUNS = "veracity.evidence.kinds:MouthRuns"
LIP_RUNS = "veracity.evidence.kinds:LipRuns"
WHOLE_PICTURES = "veracity.evidence.kinds:WholePictures"
PICTURE_SQUARES = "veracity.evidence.kinds:PictureSquares"
NATIVE_SQUARES = "veracity.evidence.kinds:NativeSquares"

# Functions of veracity/evidence/pooling.py
MEAN_LOGIT = "veracity.evidence.pooling:mean_logit"
MEAN_LOGIT_BY_SECONDS = "veracity.evidence.pooling:mean_logit_by_seconds"
PERSONS = "veracity.evidence.pooling:persons"
WORST_FACE = "veracity.evidence.pooling:worst_face"
WORST_FACE_PER_FRAME = "veracity.evidence.pooling:worst_face_per_frame"
CONFIDENT_FACES = "veracity.evidence.pooling:confident_faces"

# A video has up to 8 windows, 4 to a request; waiting 3 ms for another video's costs less than a second run.
SPEECH_BATCHING = Batching(max_batch=16, request_items=4, preferred=(4, 8), delay_us=3_000)
# A video has 32 frames of faces, 8 to a request, so two videos fill a batch of 16; crops all have one size.
FACE_BATCHING = Batching(max_batch=32, request_items=8, preferred=(8, 16), delay_us=5_000)
# A face has at most 4 clips of a second, 2 to a request; a clip is heavy, so large batches only add latency.
MOUTH_BATCHING = Batching(max_batch=8, request_items=2, preferred=(4, 8), delay_us=5_000)
# A video has 8 pictures, 4 to a request; a transformer's time grows with the batch: at 8 waiting stops paying.
PICTURE_BATCHING = Batching(max_batch=16, request_items=4, preferred=(4, 8), delay_us=5_000)
