"""ONNX Runtime as a contender: PyTorch's twin of the network, exported."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

from npsqueeze.benchmark import inputs
from npsqueeze.benchmark.with_torch import twin
from npsqueeze.benchmark.works import Network, Work


def prepare(work: Work, way: str, threads: int) -> Callable[[], object] | None:
    """Return a function that predicts once; None for anything else."""
    if not isinstance(work, Network) or work.training:
        return None
    x, _ = inputs.pictures(work)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        # the exporter tells much, in every way there is
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(twin(work.model()).eval(), (torch.from_numpy(x),), path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)
