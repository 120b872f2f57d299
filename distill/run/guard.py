"""A run stops where its numbers stop being finite, and leaves what is needed to find out why."""

from pathlib import Path

import torch
from torch import Tensor

from common.errors import UserError
from common.files import replacing
from common.runtime import barrier, rank
from distill.run.checkpoints import written_or_told
from distill.run.report import Report
from distill.run.state_file import write_state
from distill.step import Trainer

WATCHED = ("loss", "gradient_norm")


def largest_weight(trainer: Trainer) -> Tensor:
    """() the largest absolute weight of the student, not finite where one of them is not; still on the device."""
    weights = [parameter.detach() for parameter in trainer.student.parameters()]
    return torch.stack(torch._foreach_norm(weights, torch.inf)).amax()


def refuse_non_finite(report: Report, last_step: int, trainer: Trainer, run_dir: Path) -> None:
    """Look through a window before anything of it is kept; the same on all ranks.

    Raises UserError naming step and samples, after writing nan-stepN.pt: `state` after `last_step`, the last that was
    taken, and number, samples and views of the first step that was not finite. The last checkpoint stays as it was.
    Gradients are not watched with float16, where the GradScaler leaves out such steps.
    """
    bad = report.not_finite(WATCHED[:1] if trainer.scaler.is_enabled() else WATCHED)
    if bad is None:
        return
    path = run_dir / f"nan-step{bad.step:09d}.pt"
    state = trainer.state()
    if rank() == 0:
        with written_or_told(path), replacing(path) as temporary:
            write_state({**bad._asdict(), "last_step": last_step, "state": state}, temporary)
    else:
        write_state(state, None)
    barrier()
    shown = f"{bad.samples[:8]}{' ...' if len(bad.samples) > 8 else ''}"
    raise UserError(
        f"the {bad.name.replace('_', ' ')} of step {bad.step} is {bad.value}: lower train.lr, or use precision = "
        f"'float32'; the last checkpoint is kept, state and batch are in {path}. Samples of the batch: {shown}"
    )
