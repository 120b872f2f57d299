"""The card, the driver and the versions that a table was made with."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ("faiss-gpu", "faiss-cpu", "onnxruntime-gpu", "onnxruntime", "numpy", "zarr")


def describe_machine() -> dict[str, str]:
    """What the head of a table says, in its order."""
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    found = {name: installed(name) for name in _PACKAGES}
    return {
        "card": ", ".join(f"{cards.count(name)} x {name}" for name in dict.fromkeys(cards)) or "none",
        "driver": driver() or "none",
        "torch": torch.__version__,
        "CUDA, cuDNN of torch": f"{torch.version.cuda or 'none'}, {torch.backends.cudnn.version() or 'none'}",
        "packages": ", ".join(f"{name} {number}" for name, number in found.items() if number),
        "python": f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        "cores": str(cores()),
        "commit": commit(),
    }


def driver() -> str | None:
    """The NVIDIA driver's version, by nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return (_output(command) or "").strip().partition("\n")[0] or None


def installed(package: str) -> str | None:
    """A package's version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """Of the checkout, with a word where files differ from it."""
    root = str(Path(__file__).parents[2])
    return (_output(["git", "-C", root, "describe", "--always", "--dirty=, changed"]) or "unknown").strip()


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return None
