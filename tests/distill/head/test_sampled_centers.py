"""Learned centres of sampled classes: what a step moves, what it leaves, what it takes of memory."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from distill.head.class_shard import ClassShard
from distill.head.head import Head, build_head
from distill.head.sampling import sample_classes

ROWS, CLASSES, DIM, SIZE, S, M = 6, 60, 8, 15, 16.0, 0.2
RATE, MOMENTUM, DECAY = 0.3, 0.9, 0.01
SECTION = {"margin": "cosface", "m": M, "s": S, "centers": "learned", "sample_rate": SIZE / CLASSES}


def data(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    f_s = torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64)
    return f_s, torch.randint(CLASSES, (ROWS,), generator=generator)


class Played:
    def __init__(self, momentum: float = MOMENTUM, fused: bool = True) -> None:
        torch.manual_seed(0)
        self.head: Head = build_head(SECTION, CLASSES, DIM).double()
        self.other = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        parameters = [self.other, *self.head.parameters()]
        self.optimiser = torch.optim.SGD(parameters, RATE, momentum, weight_decay=DECAY, fused=fused)
        self.head.serve(self.optimiser)

    def step(self, step: int) -> None:
        self.optimiser.zero_grad()
        f_s, labels = data(step)
        loss = self.head(f_s, None, labels, 0.0, step=step).loss
        (loss + self.other.square().sum()).backward()
        self.optimiser.step()

    def state(self) -> dict[str, Any]:
        return {"head": self.head.state_dict(), "optimiser": self.optimiser.state_dict()}


def reference(weight: Tensor, steps: int, momentum: float) -> tuple[Tensor, Tensor]:
    """Dense centres and momenta by SGD's formulas, for the classes of a step's sample alone."""
    weight, moved = weight.clone(), torch.zeros_like(weight)
    for step in range(steps):
        f_s, labels = data(step)
        classes = sample_classes(labels, ClassShard(CLASSES), SIZE, 0, step).rows
        x = weight.clone().requires_grad_()
        own = labels[:, None] == classes
        cos = F.normalize(f_s) @ F.normalize(x[classes]).T
        F.cross_entropy(S * (cos - M * own.double()), own.double().argmax(1)).backward()
        for c in classes.tolist():
            moved[c] = momentum * moved[c] + x.grad[c] + DECAY * weight[c]
            weight[c] -= RATE * moved[c]
    return weight, moved


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("momentum", [MOMENTUM, 0.0])
def test_sampled_centres_move_by_sgd_of_their_own_and_the_others_keep_centre_and_momentum(momentum, fused):
    played = Played(momentum, fused)
    weight, moved = reference(played.head.centers.weight, 12, momentum)
    for step in range(12):
        played.step(step)
    torch.testing.assert_close(played.head.centers.weight, weight, rtol=1e-10, atol=1e-13)
    if momentum:
        torch.testing.assert_close(played.head.centers.momentum, moved, rtol=1e-10, atol=1e-13)


def test_a_saved_state_holds_all_classes_and_goes_on_to_the_same_bits(tmp_path):
    played, resumed = Played(), Played()
    for step in range(4):
        played.step(step)
    torch.save(played.state(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    shapes = {name: tuple(value.shape) for name, value in state["head"].items()}
    assert shapes == {"centers.weight": (CLASSES, DIM), "centers.momentum": (CLASSES, DIM)}
    assert list(state["optimiser"]["state"]) == [0]  # that of the other parameter
    resumed.head.load_state_dict(state["head"])
    resumed.optimiser.load_state_dict(state["optimiser"])
    for step in range(4, 8):
        played.step(step)
        resumed.step(step)
    for name in ("weight", "momentum"):
        assert torch.equal(getattr(played.head.centers, name), getattr(resumed.head.centers, name))


class Largest(TorchDispatchMode):
    """The most bytes of any tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [x for x in args if isinstance(x, Tensor)]
        if isinstance(result, Tensor) and not any(result.untyped_storage().data_ptr() == x.data_ptr() for x in given):
            self.bytes = max(self.bytes, result.nbytes)
        return result


def test_no_step_makes_anything_of_the_size_of_all_centres():
    played = Played()
    with Largest() as largest:
        for step in range(3):
            played.step(step)
    assert SIZE * DIM * 8 <= largest.bytes < 2 * SIZE * DIM * 8 < CLASSES * DIM * 8


def test_centres_that_no_gradient_reaches_stay_when_the_optimiser_steps():
    """After an evaluation, say, or a step that a scaler left out."""
    played = Played()
    played.step(0)
    before = {name: value.clone() for name, value in played.head.state_dict().items()}
    f_s, labels = data(1)
    played.optimiser.zero_grad()
    played.head.eval()(f_s, None, labels, 0.0)
    played.optimiser.step()
    for name, value in played.head.state_dict().items():
        assert torch.equal(value, before[name])
