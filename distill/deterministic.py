"""The same bits on one GPU: `train.deterministic`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Fixed work spaces for cuBLAS, read when its first handle is made (NVIDIA, cuBLAS documentation, "Results
# reproducibility").
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Where wanted, only algorithms that give the same bits for the same input on the same machine.

    Atomic additions (index_add_, scatter) are replaced by sorted ones, and cuDNN chooses among its
    deterministic algorithms without trying which is fastest. An operation without such an algorithm raises.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault(_CUBLAS, ":4096:8")
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]
