"""What was found, as text of 80 columns: a line each, then what is wrong. Pure."""

import sys
import textwrap
from collections.abc import Iterator

from common.doctor.found import Found
from common.doctor.judge import driver_needed, problems
from common.text import WIDTH

TESTED = ("3.11", "3.13")
_NAME = 15


def report(found: Found) -> str:
    """All lines, and below them `wrong:` with what to do, or that nothing is wrong."""
    lines = [_filled(f"{name:{_NAME}}", value) for name, value in _facts(found)]
    wrong = [_filled("wrong: ", problem) for problem in problems(found)]
    return "\n".join([*lines, "", *(wrong or ["nothing is wrong"])])


def _facts(found: Found) -> Iterator[tuple[str, str]]:
    limits, libraries = found.limits, found.libraries
    untested = "" if found.python.rpartition(".")[0] in TESTED else f"; tested are {' and '.join(TESTED)}"
    yield "python", f"{found.python}{untested}"
    yield "system", found.system
    yield "torch", _library(found, "torch") + _cuda_text(found)
    yield "driver", found.driver or "none (nvidia-smi shows no card)"
    for name, capability, memory in sorted({(card.name, card.capability, card.memory) for card in found.cards}):
        number = sum(card.name == name and card.memory == memory for card in found.cards)
        yield "cards", f"{number} x {name}, sm_{capability[0]}{capability[1]}, {memory / 1024:.0f} GiB"
    gpus = libraries["faiss"].facts.get("gpus", 0)
    yield "FAISS", f"{_library(found, 'faiss')}{_built(found, 'faiss')}, {gpus or 'no'} GPUs"
    providers = [name.removesuffix("ExecutionProvider") for name in libraries["onnxruntime"].facts.get("providers", ())]
    onnxruntime = f"{_library(found, 'onnxruntime')}{_built(found, 'onnxruntime')}"
    yield "onnxruntime", f"{onnxruntime}, providers {', '.join(providers) or 'none'}"
    yield "decoders", f"OpenCV {_library(found, 'cv2')}, simplejpeg {_library(found, 'simplejpeg')}"
    quota = "" if limits.cores_quota is None else f", the cgroup grants {limits.cores_quota:g}"
    yield "cores", f"{limits.cores_allowed} of {limits.cores}{quota}"
    bound = "" if limits.memory_quota is None else f", the cgroup grants {_size(limits.memory_quota)}"
    yield "memory", f"{_size(limits.memory)}{bound}"
    yield "/dev/shm", _size(limits.shared_memory)
    yield "open files", f"{_count(limits.open_files)}, may be raised to {_count(limits.open_files_most)}"
    yield "maps", "unknown" if limits.maps is None else f"{limits.maps:,} (vm.max_map_count)"
    yield "disk", f"{_size(limits.disk_free)} free in {limits.disk}"


def _library(found: Found, name: str) -> str:
    library = found.libraries[name]
    return library.version if library.error is None else "cannot be imported"


def _cuda_text(found: Found) -> str:
    facts = found.libraries["torch"].facts
    if not facts:
        return ""
    if facts["cuda"] is None:
        return ", built without CUDA"
    needed = driver_needed(facts["cuda"])
    driver = f" (driver {needed} or newer)" if needed else ""
    return f", CUDA {facts['cuda']}{driver}, sees {facts['cards'] or 'no'} cards"


def _built(found: Found, name: str) -> str:
    here = [there for there in found.distributions if there.startswith(name)]
    return f" ({', '.join(here)})" if here else ""


def _size(number: int | None) -> str:
    if number is None:
        return "unknown"
    return f"{number / (1 << 30):,.1f} GiB" if number >= 1 << 30 else f"{number >> 20:,} MiB"


def _count(number: int) -> str:
    return "any number" if number == sys.maxsize else f"{number:,}"


def _filled(head: str, text: str) -> str:
    indent = " " * len(head)
    return "\n".join(textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False))
