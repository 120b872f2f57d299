"""Write requirements.lock and requirements-gpu.lock from pyproject.toml, on any machine: what pip would install.

    make lock

The second file is the first with faiss-gpu and onnxruntime-gpu in the place of their CPU namesakes, and with the CUDA
libraries that they and PyPI's torch need. Both of a pair have one version, the newest that there is of both. Nothing is
installed: pip resolves, and says what it would do, in a minute or two.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CPU, GPU = ROOT / "requirements.lock", ROOT / "requirements-gpu.lock"
EXCHANGED = {"faiss-cpu": "faiss-gpu", "onnxruntime": "onnxruntime-gpu"}
# What comes with torch where it is a CUDA build, and with the packages for GPUs.
OF_CUDA = re.compile(r"(nvidia|cuda|triton)\b")
# Part of every environment that pip makes, though torch names it.
UNPINNED = ("setuptools", "pip")


def resolved(requirements: Sequence[str]) -> dict[str, str]:
    """Name -> version of everything that pip would install into an empty environment."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    said = subprocess.run(
        [*pip, "--ignore-installed", "--report", "-", *requirements], check=True, stdout=subprocess.PIPE
    )
    found = (item["metadata"] for item in json.loads(said.stdout)["install"])
    return {item["name"]: item["version"] for item in found if item["name"] not in UNPINNED}


def wanted(project: dict[str, Any], for_cards: dict[str, str]) -> list[str]:
    """Requirements of the project and of its developers, for a CPU. for_cards: the newest packages for GPUs, which
    follow their namesakes some days later."""
    no_newer = (f"{name}<={for_cards[other]}" for name, other in EXCHANGED.items())
    return [*project["dependencies"], *project["optional-dependencies"]["dev"], *no_newer]


def for_gpu(cpu: dict[str, str]) -> list[str]:
    """Requirements of the second file: the pins of the first, with its two packages exchanged."""
    return [f"{EXCHANGED.get(name, name)}=={version}" for name, version in cpu.items()]


def without_cuda(pins: dict[str, str]) -> dict[str, str]:
    """Pins that hold for a CPU build of torch as well as for a CUDA build."""
    return {name: version.partition("+")[0] for name, version in pins.items() if not OF_CUDA.match(name)}


def lock_text(pins: dict[str, str], head: str) -> str:
    """A lock file: comment lines, then one pin a line in alphabetical order."""
    return head + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins, key=str.lower))


def head_of(path: Path) -> str:
    """The comment lines a lock file begins with."""
    return "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))


def main() -> None:
    """Write both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    os.environ.pop("PIP_FIND_LINKS", None)  # a folder of CPU wheels would hide PyPI's torch
    cpu = without_cuda(resolved(wanted(project, resolved(project["optional-dependencies"]["gpu"]))))
    gpu = resolved(for_gpu(cpu))
    if "+cpu" in gpu["torch"]:
        sys.exit(f"torch {gpu['torch']}: this machine's index has no CUDA build of it; no lock file was written")
    CPU.write_text(lock_text(cpu, head_of(CPU)))
    GPU.write_text(lock_text(gpu, head_of(GPU)))


if __name__ == "__main__":
    main()
