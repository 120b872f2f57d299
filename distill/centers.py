"""Class centres: moved towards the teacher (distilled), kept (frozen), or trained (learned).

centers.weight        (C,D) raw centres
centers.unit()        (C,D) unit centres, what logits are made of
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INIT_STD = 0.01


class LearnedCenters(nn.Module):
    """Centres that are parameters of the optimiser, as in standalone ArcFace, CosFace and AdaFace."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim) * INIT_STD)

    def unit(self) -> Tensor:
        return F.normalize(self.weight)


class KeptCenters(nn.Module):
    """Centres without gradient or optimiser state; unit copies are kept and refreshed only where a centre moved."""

    weight: Tensor

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(classes, dim) * INIT_STD)
        self._unit: Tensor | None = None
        self._normalised: tuple[int, int] | None = None

    def unit(self) -> Tensor:
        if self._unit is None or self._normalised != self._state():
            self._unit = F.normalize(self.weight)
            self._normalised = self._state()
        return self._unit

    def move(self, labels: Tensor, alpha: Tensor, unit_t: Tensor) -> None:
        """`move_centers` on these, normalising again only the classes that moved."""
        unit = self.unit()
        moved = move_centers(self.weight, labels, alpha, unit_t)
        unit[moved] = F.normalize(self.weight[moved])
        self._normalised = self._state()

    def _state(self) -> tuple[int, int]:
        """Changes whenever the raw centres are written to, or replaced, by anybody."""
        return self.weight.data_ptr(), self.weight._version


@torch.no_grad()
def move_centers(weight: Tensor, labels: Tensor, alpha: Tensor, unit_t: Tensor) -> Tensor:
    """w_y <- alpha * w_y + (1 - alpha) * v for every row of the global batch, in place; returns the classes moved.

    weight: (C,D); labels, alpha: (B,); unit_t: (B,D) unit teacher embeddings v (Boutros et al., AdaDistill, ECCV
    2024, eq. 6). The moved centre is not renormalised. A class that occurs several times takes the mean of its rows'
    updates, all from the old centre: no order among equals, on any device.
    """
    classes, row_class = torch.unique(labels, return_inverse=True)
    share = F.one_hot(row_class, len(classes)).to(weight.dtype)
    share /= share.sum(0)
    # One small product instead of a scatter: the order of its sums is the same on every rank.
    keep = share.T @ alpha
    pull = share.T @ ((1 - alpha)[:, None] * unit_t)
    weight[classes] = keep[:, None] * weight[classes] + pull
    return classes
