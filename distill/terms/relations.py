"""RKD: how the student's embeddings of a batch lie to each other, against how the teacher's do.

Park et al., Relational Knowledge Distillation (CVPR 2019): distances of pairs over their mean (eqs. 5 and 6), and
angles of triplets (eq. 9), each by the Huber loss. Here embeddings have unit length, since cosines are what a student
is used by. Distances and angles follow from the cosines of all pairs, (N,N).
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

_SMALLEST = 1e-6  # of a squared distance, which float32 knows to 2e-7: what is closer has no direction to each other
_AT_ONCE = {"cuda": 1 << 24, "cpu": 1 << 20}  # angles


def distance_term(unit_s: Tensor, unit_t: Tensor) -> Tensor:
    """Mean over ordered pairs of Huber(d_s / mean d_s - d_t / mean d_t), (). unit_s, unit_t: (N,D) of unit length."""
    rows = len(unit_s)
    relative = []
    for unit in (unit_s, unit_t):
        distances = _distances(unit @ unit.T)
        relative.append(distances * (rows * (rows - 1) / distances.sum()))
    return _huber(*relative) / (rows * (rows - 1))


def angle_term(unit_s: Tensor, unit_t: Tensor, first: int, last: int) -> Tensor:
    """Sum over vertices first..last-1, and all pairs of other rows, of Huber(cos angle_s - cos angle_t), over the
    number of all triplets; ().

    The angle at j between i and k. N triplets a vertex pair are formed block by block, and again for the gradient.
    """
    rows = len(unit_s)
    given = [part for unit in (unit_s, unit_t) for part in _cosines_and_inverse_distances(unit)]
    block = max(1, _AT_ONCE.get(unit_s.device.type, 1 << 20) // rows**2)
    total = unit_s.new_zeros(())
    for start in range(first, last, block):
        stop = min(start + block, last)
        total = total + checkpoint(_angles_apart, start, stop, *given, use_reentrant=False, preserve_rng_state=False)
    return total / (rows * (rows - 1) * max(rows - 2, 1))


def _angles_apart(start: int, stop: int, cos_s: Tensor, inverse_s: Tensor, cos_t: Tensor, inverse_t: Tensor) -> Tensor:
    angles = []
    for cos, inverse in ((cos_s, inverse_s), (cos_t, inverse_t)):
        at, far = cos[start:stop], inverse[start:stop]
        # <z_i - z_j, z_k - z_j> from products of pairs; what is close to its vertex has inverse distance 0.
        products = cos[None] - at[:, :, None] - at[:, None, :] + 1
        angles.append(products * far[:, :, None] * far[:, None, :])
    return _huber(*angles)


def _huber(student: Tensor, teacher: Tensor) -> Tensor:
    """The sum of Huber's loss of the differences."""
    return F.smooth_l1_loss(student, teacher, reduction="sum")


def _distances(cos: Tensor) -> Tensor:
    """(N,N) from cosines; 0 on the diagonal, where it has no gradient."""
    same = torch.eye(len(cos), dtype=torch.bool, device=cos.device)
    return (2 - 2 * cos.masked_fill(same, 0)).clamp_min(_SMALLEST).sqrt().masked_fill(same, 0)


def _cosines_and_inverse_distances(unit: Tensor) -> tuple[Tensor, Tensor]:
    cos = unit @ unit.T
    same = torch.eye(len(cos), dtype=torch.bool, device=cos.device)
    squared = 2 - 2 * cos
    near = same | (squared.detach() < _SMALLEST)
    return cos, squared.masked_fill(near, 1).rsqrt().masked_fill(near, 0)
