"""What is installed here and what it sees of the machine. Looking never fails: what cannot be had is said as text."""

import importlib
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from common.doctor.limits import Limits, limits_of

# Distributions that bring the files of another one of the same row.
SAME_FILES = (
    ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11"),
    ("onnxruntime", "onnxruntime-gpu"),
    ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
)
_ASK_CARDS = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Card:
    """A GPU as its driver names it. capability: (9, 0) for sm_90. memory: MiB."""

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True)
class Library:
    """A library that was imported: its version and what it says of itself; or, in `error`, why it could not be."""

    version: str = ""
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """Everything the doctor judges by.

    libraries: torch (facts `cuda`: the version it was built with, or None; `cards`: how many it can use; `oldest`: the
    lowest compute capability it has code for), faiss (`gpus`), onnxruntime (`providers`), cv2, simplejpeg.
    distributions: name -> version of what is installed of `SAME_FILES`.
    """

    python: str
    system: str
    libraries: dict[str, Library]
    distributions: dict[str, str]
    driver: str | None
    cards: tuple[Card, ...]
    visible: str | None  # CUDA_VISIBLE_DEVICES
    limits: Limits


def look() -> Found:
    """Look at this process's machine; imports every library, which takes seconds."""
    driver, cards = ask_cards()
    asked: dict[str, Callable[[Any], dict[str, Any]]] = {
        "torch": _of_torch,
        "faiss": lambda faiss: {"gpus": faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0},
        "onnxruntime": lambda onnxruntime: {"providers": tuple(onnxruntime.get_available_providers())},
        "cv2": lambda cv2: {},
        "simplejpeg": lambda simplejpeg: {},
    }
    return Found(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        libraries={name: library(name, facts) for name, facts in asked.items()},
        distributions={name: found for row in SAME_FILES for name in row if (found := _installed(name))},
        driver=driver,
        cards=cards,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        limits=limits_of(),
    )


def library(name: str, facts: Callable[[Any], dict[str, Any]]) -> Library:
    """Import a library and ask it; whatever it raises is its `error`."""
    try:
        module = importlib.import_module(name)
        said = str(getattr(module, "__version__", "")) or _installed(name) or "unknown"
        return Library(said, facts=facts(module))
    except Exception as error:  # a library may fail in any way: that is what is looked for
        return Library(error=(str(error).strip().splitlines() or [type(error).__name__])[0])


def ask_cards(command: list[str] = _ASK_CARDS) -> tuple[str | None, tuple[Card, ...]]:
    """The driver's version and the cards it shows; (None, ()) without nvidia-smi."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None, ()
    rows = (
        [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()] if not done.returncode else []
    )
    rows = [row for row in rows if len(row) == 4]
    cards = tuple(Card(name, _capability(capability), _whole(memory)) for name, capability, memory, _ in rows)
    return (rows[0][3] if rows else None), cards


def _of_torch(torch: Any) -> dict[str, Any]:
    built = [arch.removeprefix("sm_").rstrip("af") for arch in torch.cuda.get_arch_list() if arch.startswith("sm_")]
    return {
        "cuda": torch.version.cuda,
        "cards": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "oldest": min(((int(arch[:-1]), int(arch[-1])) for arch in built), default=None),
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return _whole(major), _whole(minor)


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0
