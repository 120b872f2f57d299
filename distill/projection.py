"""A student narrower than its teacher is lifted into the teacher's space, without changing any of its cosines.

The lift is a trained linear layer whose columns stay orthonormal. So what head and terms say of lifted embeddings holds
for the student's own, and the layer is dropped at export: cos(L a, L b) = cos(a, b).
"""

import torch
from torch import Tensor, nn

from common.errors import ConfigError


class Lift(nn.Module):
    """A product of Householder reflections: orthonormal whatever its weights become, so weight decay does no harm.

    Torch's own parametrisation keeps signs among its weights, which a decay would turn into zeros.
    """

    def __init__(self, width: int, teacher: int) -> None:
        super().__init__()
        self.reflectors = nn.Parameter(torch.randn(teacher, width))

    def weight(self) -> Tensor:
        """(teacher, width), columns orthonormal."""
        below = self.reflectors.tril(-1)  # with ones on the diagonal they are the vectors to reflect at
        columns: Tensor = torch.linalg.householder_product(below, 2 / (1 + below.square().sum(0)))
        return columns

    def forward(self, f_s: Tensor) -> Tensor:
        """(B,width) -> (B,teacher)."""
        return f_s @ self.weight().T


def build_projection(width: int, teacher: int) -> Lift | None:
    """A lift from `width` numbers to `teacher`, drawn from torch's generator; None where both are equal.

    Raises ConfigError for a student wider than its teacher.
    """
    refuse_wider(width, teacher)
    return None if width == teacher else Lift(width, teacher)


def refuse_wider(width: int, teacher: int) -> None:
    """Raises ConfigError for a student wider than its teacher: there is no room for its cosines in that space."""
    if width > teacher:
        raise ConfigError(
            f"student.embedding_size is {width}, but the teacher's embeddings are {teacher} wide: the student learns "
            f"in its teacher's space, so set it to {teacher} or less"
        )
