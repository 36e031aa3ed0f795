"""Veracity for millions of files: folders, manifests and buckets in, Parquet out, on Ray."""

from veracity_bulk._version import __version__ as __version__
