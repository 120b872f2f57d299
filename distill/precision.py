"""What `train.precision = "auto"` is here: settled before the first step, and kept for the run's whole life.

bfloat16 where the GPU of every rank has it, else float32. A run that has begun goes on in the precision that its
config.toml names, on whatever device: another one would be another run.
"""

from typing import get_args

import torch

from common.config import Config, Precision, load_config
from common.runtime import gather_rows, has_bfloat16

# From the one that every device has.
_PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def settled(config: Config, device: torch.device) -> Config:
    """The experiment with a precision that is one; to be asked on all ranks, which agree on it.

    Raises ConfigError for a run folder whose config.toml cannot be read.
    """
    if config.train.precision != "auto":
        return config
    own = _PRECISIONS.index(_of_this_rank(config, device))
    least = int(gather_rows(torch.tensor([own], device=device)).min())
    train = config.train.model_copy(update={"precision": _PRECISIONS[least]})
    return config.model_copy(update={"train": train})


def _of_this_rank(config: Config, device: torch.device) -> Precision:
    begun = config.run_dir / "config.toml"
    if begun.exists():
        kept = load_config(begun).train.precision
        if kept != "auto":
            return kept
    return "bfloat16" if has_bfloat16(device) else "float32"
