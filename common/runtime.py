"""Where and with whom this process computes: device, threads, ranks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from common.errors import ConfigError
from common.ranks import Alarm, Store, launched_ranks, rank_here, ranks_here, refuse_half_launched

# For ranks that take their steps together: one that is this late is not coming.
STEP_MINUTES = 10.0
# For what the first rank does alone while the others wait: an evaluation on IJB-C, a checkpoint on a slow disk.
WAIT_HOURS = 24.0

_waiting: dist.ProcessGroup | None = None  # a gloo group of all ranks, with WAIT_HOURS; None is the default group


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is this rank's CUDA device when there is one, else the CPU. Raises ConfigError for one that is missing."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError("--device cuda: torch sees no CUDA device; use --device cpu (GPUS=0)")
        ranks, cards = max(ranks_here(), rank_here() + 1), torch.cuda.device_count()
        if ranks > cards:  # all ranks refuse, also those that would have one
            raise ConfigError(f"--device cuda: {ranks} ranks, but torch sees {cards} CUDA device(s); use GPUS={cards}")
        return torch.device("cuda", rank_here())
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
    """Join the group that a launcher describes in the environment; nothing to do for a single process.

    It is taken apart after success only: that is done together, and a rank that fails would wait for the others, who
    wait for it. Such a rank ends at once instead, and so do the others (common/ranks). Raises ConfigError where the
    environment describes no group, or the ranks do not meet.
    """
    global _waiting
    refuse_half_launched()
    if launched_ranks() == 1:
        yield
        return
    on_cards = device.type == "cuda"
    if on_cards:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            "nccl" if on_cards else "gloo",
            timeout=timedelta(minutes=STEP_MINUTES),
            device_id=device if on_cards else None,
        )
        _waiting = dist.new_group(backend="gloo", timeout=timedelta(hours=WAIT_HOURS))
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        where = f"MASTER_ADDR={os.environ['MASTER_ADDR']} MASTER_PORT={os.environ['MASTER_PORT']}"
        raise ConfigError(
            f"{where}: the {launched_ranks()} ranks do not meet there ({str(error).splitlines()[0]}): see that all of "
            "them were started, and that this machine reaches that port"
        ) from error
    alarm = Alarm(_group_store(), dist.get_rank())
    try:
        yield
        alarm.off()
        barrier()
    except BaseException as error:
        alarm.give(error)
        raise
    dist.destroy_process_group()
    _waiting = None


def _group_store() -> Store:
    """A connection of its own to the store through which the ranks met."""
    store: Store = dist.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=timedelta(minutes=1)
    )
    return store


def rank() -> int:
    """This process among all; 0 without a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait for all ranks, for hours where need be: it stands behind whatever one of them does alone.

    Never NCCL, whose collectives give up after STEP_MINUTES, also while a rank is busy with something else.
    """
    if dist.is_initialized():
        dist.barrier(_waiting)


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
