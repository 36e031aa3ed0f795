"""LipForensics: how its checkpoint is read, served and compared, and how its authors' own code is run."""

from __future__ import annotations

from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

from torch import nn

from export.parity import Golden
from export.published import Published, under
from export.upstream import Upstream, package
from networks.published.lipforensics import Network, Pixels
from veracity.catalog.layers import MOUTH_FRAMES


def upstream(checkout: Path) -> nn.Module:
    """Make the authors' own network out of a checkout of theirs, patched in a copy; raises ExportError."""
    with Upstream.read("lipforensics").patched(checkout) as folder, package(folder / "models", "lipforensics_upstream"):
        module = import_module("lipforensics_upstream.spatiotemporal_net")
        with redirect_stdout(StringIO()):  # it prints that its weights are random
            net: nn.Module = module.get_model(device="cpu")
    whole = net.forward
    net.forward = lambda mouths: whole(mouths, [MOUTH_FRAMES] * len(mouths))  # it takes the length of each clip
    return net


LIPFORENSICS = Published(
    model="lipsync_lipforensics",
    source="github.com/ahaliassos/LipForensics @d0bf555",
    trained_on=("FaceForensics++ c23", "LRW, for reading lips"),
    network=Network,
    serve=Pixels,
    unpack=under("model"),
    upstream=upstream,
)
DETECTORS = {LIPFORENSICS.model: LIPFORENSICS}
CASES = {"lipforensics": Golden(LIPFORENSICS, given=("mouths",), wanted=("logit",), wrap=Pixels)}
