"""Veracity for people and for other services: jobs over HTTP, a page, reports that hold up."""

from veracity_gateway._version import __version__ as __version__
