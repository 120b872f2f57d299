"""Where and with whom this process computes: device, threads, ranks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from common.errors import ConfigError


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is this rank's CUDA device when there is one, else the CPU. Raises ConfigError for one that is missing."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError("--device cuda: torch sees no CUDA device; use --device cpu (GPUS=0)")
        index, cards = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        ranks = max(index + 1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        if ranks > cards:  # all ranks refuse, also those that would have one
            raise ConfigError(f"--device cuda: {ranks} ranks, but torch sees {cards} CUDA device(s); use GPUS={cards}")
        return torch.device("cuda", index)
    try:
        return torch.device(name)
    except RuntimeError:
        raise ConfigError(f"--device {name}: unknown; use auto, cpu or cuda") from None


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 by itself: NVIDIA's of compute capability 8.0 (Ampere) and later. Older
    ones only imitate it, and of a CPU nobody can tell."""
    if device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0) and torch.cuda.is_bf16_supported()


def launched_ranks() -> int:
    """How many processes torchrun started, before they have joined; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def set_threads(threads: int | None, ranks_here: int) -> int:
    """Give this rank its share of the cores (or `threads`); returns the number used.

    Convolutions may round differently with another number, so caches and runs record it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = threads or max(1, cores // ranks_here)
    torch.set_num_threads(number)
    return number


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the group that torchrun describes in the environment; nothing to do for a single process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # In stage one ranks meet only at the end; torchrun, not a timeout, ends them all when one fails.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=12))
    try:
        yield
    finally:
        dist.destroy_process_group()


def launched_rank() -> int:
    """Number of this process among those that a launcher started, whether or not they are a group."""
    return int(os.environ.get("RANK", "0"))


def rank() -> int:
    """This process among all; 0 without a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait for all ranks."""
    if dist.is_initialized():
        dist.barrier()


def gather_rows(x: Tensor) -> Tensor:
    """The rows of all ranks in rank order, (B,...) -> (world * B,...); every rank must bring as many. No gradient."""
    if world_size() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)


def mean_over_ranks(x: Tensor) -> Tensor:
    """Mean of a tensor over all ranks, equal on every rank."""
    if world_size() > 1:
        dist.all_reduce(x)
        x /= world_size()
    return x
