"""The facts about a machine without which no figure means anything."""

import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("npsqueeze", "numpy", "numba", "torch", "onnxruntime")
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "NUMBA_CPU_NAME", "NUMBA_THREADING_LAYER")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load() -> float:
    """Return how many threads, on average over the last minute, have wanted a core."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def facts() -> dict[str, Any]:
    """Return the CPU, the system, the versions, and the variables that change what is measured."""
    versions = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _cpu_name() -> str:
    with suppress(OSError):  # Linux
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
