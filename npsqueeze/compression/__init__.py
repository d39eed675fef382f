"""Networks in few bytes."""

from npsqueeze.compression.deep_compression import read_deep_compression

__all__ = ["read_deep_compression"]
