"""The engine inside the server: a video in, a verdict out. torch never enters."""

__version__ = "0.1.0"
