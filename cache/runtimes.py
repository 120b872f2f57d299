"""What embeddings were computed with: threads, versions, device, batch size. It may change their last bits, no more.

So it is no part of what a cache is: every unit has its own record in the ledger, `python -m cache info` shows them, and
a build goes on under another runtime unless the experiment asks for one (`cache.same_runtime = true`).
"""

import json
import platform
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from cache.format import differences, read_runtimes
from common.config import CacheConfig
from common.errors import CacheError
from common.models import FaceModel

LIBRARIES = ("numpy", "torch", "onnxruntime", "zarr")


def runtime_of(cache: CacheConfig, teacher: FaceModel, threads: int) -> dict[str, Any]:
    """The runtime of this process, JSON-able. threads: of this rank."""
    return {
        "machine": platform.machine(),
        "threads": threads,
        "batch_size": cache.batch_size,
        "libraries": {name: library_version(name) for name in LIBRARIES},
        "teacher": dict(teacher.runtime),
    }


def library_version(name: str) -> str:
    """What a module says of itself; its distribution may have another name, as onnxruntime-gpu's has."""
    return str(import_module(name).__version__)


def refuse_other(path: Path, now: dict[str, Any]) -> None:
    """Raise CacheError naming every value in which a finished unit's runtime is not `now`, with both values."""
    for name, runtimes in sorted(read_runtimes(path).items()):
        for runtime in runtimes:
            said = [
                f"{field} is {there!r} in {name} and {here!r} now"
                for field, there, here in differences("runtime", runtime, now)
            ]
            if said:
                raise CacheError(
                    f"{path}: begun with another runtime: {'; '.join(said)}. Take that one, set another cache.path, or "
                    "go on with cache.same_runtime = false"
                )


def runtime_lines(path: Path) -> list[str]:
    """For each runtime how many units it computed and what it is, the most used first."""
    used = Counter(
        json.dumps(runtime, sort_keys=True) for runtimes in read_runtimes(path).values() for runtime in runtimes
    )
    return [
        f"{units:,} unit{'s' * (units > 1)} with "
        + ", ".join(f"{name} {value}" for name, value in _leaves(json.loads(text)))
        for text, units in sorted(used.items(), key=lambda item: (-item[1], item[0]))
    ]


def _leaves(value: dict[str, Any], name: str = "runtime") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{name}.{key}")
        else:
            yield f"{name}.{key}", inner
