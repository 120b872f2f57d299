"""Every embedding of the student to the teacher's of the same view."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


def cosine_match(f_s: Tensor, unit_t: Tensor) -> Tensor:
    """Mean of 1 - cos(f_s, f_t) over rows, (): ShrinkTeaNet's angular distance (Duong et al., arXiv 1905.10620)
    without its square.

    f_s: (B,D), any length. unit_t: (B,D) of unit length.
    """
    return 1 - (F.normalize(f_s) * unit_t).sum(1).mean()


def mse_match(f_s: Tensor, unit_t: Tensor) -> Tensor:
    """Mean square of f_s - sqrt(D) f_t over rows and numbers, (): hints at the last layer (FitNets, Romero et al., ICLR
    2015).

    A cache keeps directions. sqrt(D) is the length of D numbers of unit variance, as the student's last BatchNorm gives
    them.
    """
    return F.mse_loss(f_s, unit_t * unit_t.shape[1] ** 0.5)


MATCHES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cosine": cosine_match, "mse": mse_match}
