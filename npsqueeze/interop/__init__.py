"""Files that other libraries write and read."""

from npsqueeze.interop import onnx

__all__ = ["onnx"]
