"""One training step: faces and cached teacher embeddings in, moved weights out."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.config import TrainConfig
from common.faces import four_words
from common.models import DTYPES
from common.runtime import rank, world_size
from distill.batches import TrainingBatch
from distill.ema import WeightAverage
from distill.gradients import average_over_ranks
from distill.graph import StepGraph
from distill.head import Head
from distill.schedule import peak_rate, rate_factor
from distill.sync_batchnorm import synchronise
from distill.terms import Terms

# Stream of the random words that seed what is random inside a network; fixed, since runs are bound to it.
STREAM_NETWORK = 16


class Trainer:
    """A student, its head and their optimiser on one device, with everything a step needs.

    The state after a step depends on the state before and on (step, batch) alone: randomness inside the network, such
    as dropout, is seeded by the step. The host waits for nothing on the device, the scaler of float16 excepted.
    """

    def __init__(
        self,
        student: nn.Module,
        head: Head,
        train: TrainConfig,
        device: torch.device,
        ranks: int,
        terms: Terms | None = None,
        projection: nn.Module | None = None,
    ) -> None:
        """terms: what is told beside the head, None for nothing. projection: from the student's width to that of head
        and terms; no part of what leaves the run."""
        self.config, self.device, self.terms = train, device, terms
        self.projection = None if projection is None else projection.to(device).train()
        self.layout = torch.channels_last if train.channels_last else torch.contiguous_format
        if train.sync_batchnorm:
            student = synchronise(student)
        self.student = student.to(device=device, memory_format=self.layout).train()  # type: ignore[call-overload]
        self.head = head.to(device).train()
        self.network = torch.compile(self.student) if train.compile else self.student
        self.average = WeightAverage(self.student, train.ema) if train.ema else None
        self.peak = peak_rate(train, ranks)
        self.scaler = torch.amp.GradScaler(device.type, enabled=train.precision == "float16")
        self.optimiser = torch.optim.SGD(
            [p for p in (*self._network_parameters(), *head.parameters()) if p.requires_grad],
            lr=self.peak,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
            # Where a scaler skips the first step, torch 2.13's fused SGD keeps momentum that was never written.
            fused=not self.scaler.is_enabled(),
        )
        self.head.serve(self.optimiser)
        self._graph = StepGraph(self._gradients, device) if train.graphs else None

    def step(self, batch: TrainingBatch, step: int, steps_per_epoch: int) -> dict[str, Tensor]:
        """Take step number `step` of the run; returns this rank's scalars, still on the device."""
        rate = self.peak * rate_factor(self.config, step, steps_per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        f_t, confidence, epoch = batch.f_t, batch.confidence, step / steps_per_epoch
        self._seed(step, 0)
        if self._graph is not None:
            at = torch.full((), epoch, dtype=torch.float64, device=self.device)
            number = torch.full((), step, dtype=torch.int64, device=self.device)
            scalars = self._graph(batch.faces, batch.labels, f_t, confidence, at, number)
        else:
            f_t = None if f_t is None else self._to(f_t)
            confidence = None if confidence is None else self._to(confidence)
            scalars = self._gradients(self._to(batch.faces), self._to(batch.labels), f_t, confidence, epoch, step)
        self._share_gradients()
        self.scaler.unscale_(self.optimiser)
        gradient = nn.utils.clip_grad_norm_(self._network_parameters(), self.config.gradient_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.follow(step)
        return {"loss": scalars["loss"], "gradient_norm": gradient, **scalars}

    def _gradients(
        self,
        faces: Tensor,
        labels: Tensor,
        f_t: Tensor | None,
        confidence: Tensor | None,
        epoch: float | Tensor,
        step: int | Tensor,
    ) -> dict[str, Tensor]:
        """Forward and backward pass, which train.graphs captures: gradients of this rank's rows, and scalars.

        epoch, step: tensors () on the device where it is captured.
        """
        parts = faces.chunk(self.config.accumulate)
        self.optimiser.zero_grad(set_to_none=True)
        f_s = self._forward(faces) if len(parts) == 1 else self._without_graph(parts, step)
        lifted = f_s if self.projection is None else self.projection(f_s.float())
        loss, stats = self.head(lifted, f_t, labels, epoch, confidence, step)
        if self.terms is not None:
            assert f_t is not None
            added = self.terms(lifted, f_t, labels)
            stats |= added.stats
            loss = loss + added.loss
        self.scaler.scale(loss).backward()
        if len(parts) > 1:
            self._backward_again(parts, f_s, step)
        target = stats.pop("target_logit").mean()
        return {"loss": loss.detach(), "target_logit": target, **stats}

    def _seed(self, step: int | Tensor, part: int) -> None:
        """Let the randomness inside the network be that of the part-th micro-batch of a step."""
        assert isinstance(step, int), "a graph cannot seed: micro-batches are not captured"
        low, high, *_ = four_words(self.config.seed, STREAM_NETWORK, step, rank() * self.config.accumulate + part)
        torch.manual_seed(low | high << 32)

    def _forward(self, faces: Tensor) -> Tensor:
        dtype = DTYPES[self.config.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            f_s: Tensor = self.network(self._to_input(faces))
            return f_s

    @torch.no_grad()
    def _without_graph(self, parts: Sequence[Tensor], step: int | Tensor) -> Tensor:
        """f_s of the whole batch as a leaf for the head's gradient: gradient caching (Gao et al., RepL4NLP 2021).

        Memory is that of one micro-batch; the price is a second forward pass. BatchNorm's running statistics are put
        back, for that second pass moves them.
        """
        statistics, embedded = [*self.student.buffers()], []
        before = [buffer.clone() for buffer in statistics]
        for number, part in enumerate(parts):
            self._seed(step, number)
            embedded.append(self._forward(part).float())
        if statistics:
            torch._foreach_copy_(statistics, before)
        return torch.cat(embedded).requires_grad_()

    def _backward_again(self, parts: Sequence[Tensor], f_s: Tensor, step: int | Tensor) -> None:
        assert f_s.grad is not None
        for number, (part, gradient) in enumerate(zip(parts, f_s.grad.chunk(len(parts)), strict=True)):
            self._seed(step, number)
            embedded = self._forward(part)
            torch.autograd.backward(embedded, gradient.to(embedded.dtype))

    def _share_gradients(self) -> None:
        self.head.average_gradients()
        if world_size() > 1:
            average_over_ranks(p.grad for p in self._network_parameters() if p.grad is not None)

    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def exported(self) -> nn.Module:
        """The network that leaves the run: the averaged one where the recipe has one."""
        return self.student if self.average is None else self.average.network

    def state(self) -> dict[str, Any]:
        """Everything that steps change: tensors, plain numbers, and ShardedRows for what is shared out over ranks."""
        return {name: part.state_dict() for name, part in self.parts().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a `state()`."""
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        if self._graph is not None:
            self._graph.forget()

    def parts(self) -> dict[str, Any]:
        """What a step changes, by the names of a `state()`."""
        parts: dict[str, Any] = {"student": self.student, "head": self.head}
        parts |= {"optimiser": self.optimiser, "scaler": self.scaler}
        if self.average is not None:
            parts["average"] = self.average
        if self.projection is not None:
            parts["projection"] = self.projection
        return parts

    def _network_parameters(self) -> list[nn.Parameter]:
        """The student's, and those of its projection."""
        lift = () if self.projection is None else self.projection.parameters()
        return [*self.student.parameters(), *lift]

    def _to(self, x: Tensor) -> Tensor:
        return x.to(self.device, non_blocking=True)

    def _to_input(self, faces: Tensor) -> Tensor:
        """uint8 (B,H,W,3) -> float32 (B,3,H,W) in [-1,1]; the student's contract, as InsightFace's."""
        pixels = faces.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout)
        return pixels.div_(127.5).sub_(1)
