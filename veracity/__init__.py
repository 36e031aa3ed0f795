"""The engine inside the server: a video in, a verdict out. torch never enters."""

from veracity_client._version import __version__ as __version__
