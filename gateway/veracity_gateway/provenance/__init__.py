"""What a file says of its origin: content credentials (C2PA) and visible metadata. It never enters the score."""

from veracity_gateway.provenance.reader import read
from veracity_gateway.provenance.records import Provenance

__all__ = ["Provenance", "read"]
