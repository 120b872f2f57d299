"""The head's matrix products in the precision the experiment asks for.

Everything else in the head is float32; these two or three products are nearly all of its arithmetic.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def product(a: Tensor, b: Tensor, precision: str) -> Tensor:
    """a (n,k) @ b (k,m) -> (n,m), of a's dtype whatever the precision.

    precision: `bfloat16` rounds both operands and the result to 8 bits; `float32` rounds to a's own dtype.
    """
    if precision == "bfloat16":
        return (a.bfloat16() @ b.bfloat16()).to(a.dtype)
    if a.device.type == "cpu" and a.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # oneDNN uses AVX-512 on any make of CPU, MKL (behind `@`) on Intel's alone; benchmarks/head.py has the ratio.
        return F.linear(a.contiguous().to_mkldnn(), b.T.contiguous().to_mkldnn()).to_dense()
    return a @ b
