"""What exists: layers, detectors, profiles, weights and the provenance of installed models."""

from veracity.catalog.assets import Source
from veracity.catalog.layers import LAYERS, Layer
from veracity.catalog.model import Crop, Model, Tensor
from veracity.catalog.table import ASSETS, FACE_DETECTOR, MODELS, SPEAKER

__all__ = ["ASSETS", "FACE_DETECTOR", "LAYERS", "MODELS", "SPEAKER", "Crop", "Layer", "Model", "Source", "Tensor"]
