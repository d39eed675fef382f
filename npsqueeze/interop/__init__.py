"""Weights that other libraries write and read."""

from npsqueeze.interop.names import from_caffe, to_caffe
from npsqueeze.interop.safetensors import read_safetensors, save_safetensors

__all__ = ["from_caffe", "read_safetensors", "save_safetensors", "to_caffe"]
