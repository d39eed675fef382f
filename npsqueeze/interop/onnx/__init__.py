"""ONNX files, out and in.

    nps.interop.onnx.save("model.onnx", model, image_size=32)
    graph = nps.interop.onnx.load("model.onnx")
    pretrained = nps.interop.onnx.load_pretrained("model.onnx")

`save` writes a SqueezeNet for any other runtime. `load` brings a network whose operators are ours
back as a `Graph` of our layers, forward and backward; `load_pretrained` finds the SqueezeNet in it.
"""

from npsqueeze.interop.onnx.graph import Graph
from npsqueeze.interop.onnx.loading import load, load_pretrained
from npsqueeze.interop.onnx.writing import save

__all__ = ["Graph", "load", "load_pretrained", "save"]
