"""One training step: faces and cached teacher embeddings in, moved weights out."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.config import TrainConfig
from common.runtime import mean_over_ranks, world_size
from distill.batches import Batch
from distill.head import Head
from distill.schedule import peak_rate, rate_factor


class Trainer:
    """A student, its head and their optimiser on one device, with everything a step needs.

    The state after a step depends on the state before and on (step, batch) alone: randomness inside the network, such
    as dropout, is seeded by the step.
    """

    def __init__(self, student: nn.Module, head: Head, train: TrainConfig, device: torch.device, ranks: int) -> None:
        self.config, self.device = train, device
        self.layout = torch.channels_last if train.channels_last else torch.contiguous_format
        self.student = student.to(device=device, memory_format=self.layout)  # type: ignore[call-overload]
        self.head = head.to(device).train()
        self.network: nn.Module = self.student.train()
        if train.compile:
            self.network = torch.compile(self.network)  # type: ignore[assignment]
        if world_size() > 1:
            self.network = DistributedDataParallel(self.network, [device.index] if device.type == "cuda" else None)
        self.peak = peak_rate(train, ranks)
        self.optimiser = torch.optim.SGD(
            [p for p in (*student.parameters(), *head.parameters()) if p.requires_grad],
            lr=self.peak,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
        )

    def step(self, batch: Batch, step: int, steps_per_epoch: int) -> dict[str, Tensor]:
        """Take step number `step` of the run; returns this rank's scalars, still on the device."""
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        rate = self.peak * rate_factor(self.config, step, steps_per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        faces, labels = self._to_input(batch.faces), self._to(batch.labels)
        f_t = None if batch.f_t is None else self._to(batch.f_t)
        confidence = None if batch.confidence is None else self._to(batch.confidence)

        self.optimiser.zero_grad(set_to_none=True)
        low = self.config.precision != "float32"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            f_s = self.network(faces)
        loss, stats = self.head(f_s, f_t, labels, step / steps_per_epoch, confidence)
        loss.backward()
        for parameter in self.head.parameters():
            if parameter.grad is not None:
                mean_over_ranks(parameter.grad)
        gradient = nn.utils.clip_grad_norm_(self.student.parameters(), self.config.gradient_norm)
        self.optimiser.step()
        target = stats.pop("target_logit").mean()
        return {"loss": loss.detach(), "gradient_norm": gradient, "target_logit": target, **stats}

    def rate(self) -> float:
        """The learning rate of the last step."""
        return self.optimiser.param_groups[0]["lr"]

    def state(self) -> dict[str, Any]:
        """Everything that steps change."""
        return {
            "student": self.student.state_dict(),
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a `state()`."""
        self.student.load_state_dict(state["student"])
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _to(self, x: Tensor) -> Tensor:
        return x.to(self.device, non_blocking=True)

    def _to_input(self, faces: Tensor) -> Tensor:
        """uint8 (B,H,W,3) -> float32 (B,3,H,W) in [-1,1]; the student's contract, as InsightFace's."""
        pixels = self._to(faces).permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout)
        return pixels.div_(127.5).sub_(1)
