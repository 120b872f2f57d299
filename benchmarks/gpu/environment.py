"""Whether torch, FAISS and onnxruntime all see the card."""

from collections.abc import Iterator

import faiss
import onnxruntime
import torch

from benchmarks.gpu.finding import Finding, holds, needs_card
from benchmarks.gpu.machine import driver, installed
from benchmarks.gpu.place import Place


def versions(place: Place) -> Iterator[Finding]:
    """Each library's own word; a machine with a driver whose torch sees no card is BAD."""
    number = driver()
    if number is not None or torch.version.cuda is not None:
        seen = f"{torch.cuda.device_count()} of torch {torch.__version__}, driver {number or 'none'}"
        yield holds("torch sees a card", torch.cuda.is_available(), seen, "at least 1")
    else:
        yield needs_card("torch sees a card")
    for names in (("faiss-cpu", "faiss-gpu"), ("onnxruntime", "onnxruntime-gpu")):
        found = [name for name in names if installed(name)]
        yield holds(f"one of {' and '.join(names)}", len(found) == 1, ", ".join(found) or "none", "exactly one")
    if not place.card:
        yield needs_card("FAISS sees the cards")
        yield needs_card("onnxruntime sees the card")
        yield needs_card("bfloat16 in the card's own arithmetic")
        return
    gpus = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
    yield holds("FAISS sees the cards", gpus == place.cards, f"{gpus} by FAISS {faiss.__version__}", f"{place.cards}")
    providers = ", ".join(onnxruntime.get_available_providers())
    yield holds("onnxruntime sees the card", onnx_sees_card(), providers, "CUDAExecutionProvider")
    major, minor = torch.cuda.get_device_capability(place.device)
    yield holds("bfloat16 in the card's own arithmetic", major >= 8, f"sm_{major}{minor}", "sm_80 or later")


def onnx_sees_card() -> bool:
    """Whether this onnxruntime was built with CUDA."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
