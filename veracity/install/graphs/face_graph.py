"""First and last steps of the face detectors as ONNX Script: each function below becomes nodes of the graph.

They compute what the networks' authors published; :mod:`veracity.install.graphs.face_detector` has the contract.
The annotations are tensor shapes, which ONNX Script reads and type checkers cannot.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, F821, N803, N806

from onnx import TensorProto, helper
from onnxscript import FLOAT, UINT8, script
from onnxscript import opset17 as op

from veracity.catalog.detectors.face_detector import MAX_FACES

FACES = MAX_FACES  # an image
CANDIDATES = 512  # cells an image that non-maximum suppression looks at
OVERLAP = 0.3  # IoU over which two boxes are one face: the value of both networks' authors
# Scores over the threshold are faces. On 418 faces in 63 clips and 87 in 48 photographs, shown at 480 pixels:
CENTERFACE_THRESHOLD = 0.4  # all found and nothing else; 0.3 finds three things that are none, 0.5 loses a dark face
YUNET_THRESHOLD = 0.7  # all but that dark face, one thing that is none; 0.6 finds it, and one more false
ONE = helper.make_tensor("one", TensorProto.INT64, [1], [1])
ZERO = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])


@script(default_opset=op)
def prepare_rgb(IMAGE: UINT8["batch", "height", "width", 3]) -> FLOAT["batch", 3, "height", "width"]:
    """Turn pictures into float planes."""
    pixels = op.Cast(op.Transpose(IMAGE, perm=[0, 3, 1, 2]), to=1)
    return pixels


@script(default_opset=op)
def prepare_bgr(IMAGE: UINT8["batch", "height", "width", 3]) -> FLOAT["batch", 3, "height", "width"]:
    """Turn pictures into float planes, blue first."""
    pixels = op.Cast(op.Gather(op.Transpose(IMAGE, perm=[0, 3, 1, 2]), [2, 1, 0], axis=1), to=1)
    return pixels


@script(default_opset=op)
def cells(plane):
    """Return (row, column) of every cell of a plane of the shape ``plane``, row by row: int64 [n, 2]."""
    return op.Transpose(op.NonZero(op.ConstantOfShape(plane, value=ONE)))


@script(default_opset=op)
def select(boxes, scores, points, threshold):
    """Suppress, per image, boxes that overlap a better one; keep the best that are left, zeros behind them."""
    best, at = op.TopK(scores, op.Min(op.Constant(value_ints=[CANDIDATES]), op.Shape(scores, start=1)))
    at_3d = op.Unsqueeze(at, [2])
    near = op.GatherND(boxes, at_3d, batch_dims=1)
    faces = op.Constant(value_ints=[FACES])
    overlap = op.Constant(value_floats=[OVERLAP])
    chosen = op.NonMaxSuppression(near, op.Unsqueeze(best, [1]), faces, overlap, threshold)
    where = op.Gather(chosen, [0, 2], axis=1)  # (image, candidate), in any order
    ones = op.CastLike(op.Expand(op.Constant(value_ints=[1]), op.Shape(where, end=1)), best)
    kept = op.ScatterND(op.ConstantOfShape(op.Shape(best), value=ZERO), where, ones)
    SCORES, rank = op.TopK(best * kept, faces)
    rank_3d = op.Unsqueeze(rank, [2])
    real = op.Unsqueeze(op.CastLike(SCORES > 0.0, SCORES), [2])
    BOXES = op.GatherND(near, rank_3d, batch_dims=1) * real
    marks = op.GatherND(op.GatherND(points, at_3d, batch_dims=1), rank_3d, batch_dims=1)
    LANDMARKS = marks * op.Unsqueeze(real, [3])
    return BOXES, SCORES, LANDMARKS


@script(default_opset=op)
def centerface(
    heat: FLOAT["batch", 1, "h", "w"],
    size: FLOAT["batch", 2, "h", "w"],
    offset: FLOAT["batch", 2, "h", "w"],
    mark: FLOAT["batch", 10, "h", "w"],
) -> tuple[FLOAT["batch", FACES, 4], FLOAT["batch", FACES], FLOAT["batch", FACES, 5, 2]]:
    """Decode CenterFace: cells of 4 pixels; size and offset of the box, landmarks from its corner, all as (y, x)."""
    scores = op.Reshape(heat, [0, -1])
    grid = op.CastLike(cells(op.Shape(heat, start=2)), heat)
    sides = op.Exp(op.Reshape(op.Transpose(size, perm=[0, 2, 3, 1]), [0, -1, 2])) * 4.0
    moved = op.Reshape(op.Transpose(offset, perm=[0, 2, 3, 1]), [0, -1, 2]) + grid
    corner = (moved + 0.5) * 4.0 - sides / 2.0
    boxes = op.Gather(op.Concat(corner, corner + sides, axis=2), [1, 0, 3, 2], axis=2)
    inside = op.Reshape(op.Transpose(mark, perm=[0, 2, 3, 1]), [0, -1, 5, 2])
    points = op.Gather(inside * op.Unsqueeze(sides, [2]) + op.Unsqueeze(corner, [2]), [1, 0], axis=3)
    BOXES, SCORES, LANDMARKS = select(boxes, scores, points, op.Constant(value_floats=[CENTERFACE_THRESHOLD]))
    return BOXES, SCORES, LANDMARKS


@script(default_opset=op)
def cells_of_stride(pixels, stride):
    """Return (column, row, stride) of every cell of one of YuNet's grids: int64 [n, 3]."""
    grid = op.Gather(cells(op.Shape(pixels, start=2) / stride), [1, 0], axis=1)
    return op.Concat(grid, op.Expand(stride, op.Concat(op.Shape(grid, end=1), [1], axis=0)), axis=1)


@script(default_opset=op)
def yunet(
    pixels: FLOAT["batch", 3, "height", "width"],
    cls_8: FLOAT["batch", "n8", 1],
    cls_16: FLOAT["batch", "n16", 1],
    cls_32: FLOAT["batch", "n32", 1],
    obj_8: FLOAT["batch", "n8", 1],
    obj_16: FLOAT["batch", "n16", 1],
    obj_32: FLOAT["batch", "n32", 1],
    bbox_8: FLOAT["batch", "n8", 4],
    bbox_16: FLOAT["batch", "n16", 4],
    bbox_32: FLOAT["batch", "n32", 4],
    kps_8: FLOAT["batch", "n8", 10],
    kps_16: FLOAT["batch", "n16", 10],
    kps_32: FLOAT["batch", "n32", 10],
) -> tuple[FLOAT["batch", FACES, 4], FLOAT["batch", FACES], FLOAT["batch", FACES, 5, 2]]:
    """Decode YuNet: cells of 8, 16 and 32 pixels, one grid after the other; everything in cells, as (x, y)."""
    scores = op.Sqrt(
        op.Reshape(op.Concat(cls_8, cls_16, cls_32, axis=1) * op.Concat(obj_8, obj_16, obj_32, axis=1), [0, -1])
    )
    fine, middle, coarse = cells_of_stride(pixels, [8]), cells_of_stride(pixels, [16]), cells_of_stride(pixels, [32])
    table = op.CastLike(op.Concat(fine, middle, coarse, axis=0), pixels)
    grid, stride = op.Split(table, [2, 1], axis=1)
    shift, growth = op.Split(op.Concat(bbox_8, bbox_16, bbox_32, axis=1), [2, 2], axis=2)
    middle_point = (shift + grid) * stride
    reach = op.Exp(growth) * stride / 2.0
    boxes = op.Concat(middle_point - reach, middle_point + reach, axis=2)
    inside = op.Reshape(op.Concat(kps_8, kps_16, kps_32, axis=1), [0, -1, 5, 2])
    points = (inside + op.Unsqueeze(grid, [1])) * op.Unsqueeze(stride, [1])
    BOXES, SCORES, LANDMARKS = select(boxes, scores, points, op.Constant(value_floats=[YUNET_THRESHOLD]))
    return BOXES, SCORES, LANDMARKS
