"""Make ``import torchvision`` work where its compiled operators cannot be loaded.

Reason: PyPI's torchvision is built against PyPI's torch with CUDA. Beside torch's CPU build its library ``_C.so`` does
not load, which torchvision tolerates; but it then describes the shapes of two operators of that library, ``nms`` and
``qnms``, without asking whether they are there, and the import ends in ``operator torchvision::nms does not exist``.
timm and open_clip import torchvision and need neither: what is declared here has a name and a signature and cannot be
run; ``torchvision.ops.nms`` goes on to refuse with its own words.

Upstream: https://github.com/pytorch/vision/issues/9337, mended by https://github.com/pytorch/vision/pull/9649.
Remove when: the pinned torchvision has that change, or comes from where it is built for the CPU.
"""

from __future__ import annotations

from importlib import import_module

ABSENT = "operator torchvision::"  # how the failed import begins to say it
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",  # from 0.28 on
)
_declared: list[object] = []  # torch forgets what a library declares when the library is let go


def ensure() -> None:
    """Import torchvision; declare the missing operators where that fails for want of them, and import it again.

    Raises ImportError where torchvision is not installed, and RuntimeError for whatever else is wrong with it.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if _declared or not str(error).startswith(ABSENT):
            raise
        _declare()
        import_module("torchvision")


def _declare() -> None:
    from torch.library import Library

    library = Library("torchvision", "FRAGMENT")
    for signature in OPERATORS:
        library.define(signature)
    _declared.append(library)
