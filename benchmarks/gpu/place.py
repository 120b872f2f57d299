"""Where a row runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a row that asks for no device does without torch
    import torch

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """A row's own folder, which is its process's working directory, and whether it looks at a card or at the CPU.

    On a CPU rows are small.
    """

    folder: Path
    card: bool

    @classmethod
    def of(cls, folder: Path, device: str) -> "Place":
        """device: `auto`, `cpu` or `cuda`. Where torch sees no card, the CPU: the environment's row says why."""
        return cls(folder, device != "cpu" and _cards() > 0)

    @property
    def device(self) -> "torch.device":
        """The first card, or the CPU."""
        import torch

        return torch.device("cuda", 0) if self.card else torch.device("cpu")

    @property
    def cards(self) -> int:
        """GPUs that ranks may have."""
        return _cards() if self.card else 0


def _cards() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
