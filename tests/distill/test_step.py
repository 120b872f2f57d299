"""One training step: what micro-batches, averaged weights and a gradient scaler may and may not change."""

import pytest
import torch
from torch import Tensor, nn

from common.config import TrainConfig
from distill.batches import TrainingBatch
from distill.head.head import build_head
from distill.step import Trainer
from tests.distill.small_runs import CPU, equal

ROWS, CLASSES, DIM, STEPS = 12, 5, 8, 8


class Student(nn.Module):
    """Dropout for randomness, and a norm layer over each face or over the batch."""

    def __init__(self, over_batch: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.norm: nn.Module = nn.BatchNorm2d(4) if over_batch else nn.GroupNorm(2, 4)
        self.last = nn.Sequential(nn.Dropout(0.3), nn.Flatten(), nn.Linear(36, DIM))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.conv(x)))


def trainer(over_batch: bool = False, **train) -> Trainer:
    torch.manual_seed(5)
    head = build_head({"margin": "adaface", "geometry": "live"}, CLASSES, DIM)
    return Trainer(Student(over_batch), head, TrainConfig(batch_size=ROWS, lr=0.1, **train), CPU, 1)


def batch(step: int) -> TrainingBatch:
    generator = torch.Generator().manual_seed(step)
    faces = torch.randint(0, 256, (ROWS, 8, 8, 3), generator=generator, dtype=torch.uint8)
    labels, f_t = torch.randint(CLASSES, (ROWS,), generator=generator), torch.randn(ROWS, DIM, generator=generator)
    return TrainingBatch(faces, labels, torch.arange(ROWS), torch.zeros(ROWS, dtype=torch.int64), f_t, None)


def after(trained: Trainer, steps: int = STEPS) -> list[float]:
    """The losses of so many steps."""
    return [float(trained.step(batch(step), step, 10)["loss"]) for step in range(steps)]


def no_dropout(trained: Trainer) -> Trainer:
    trained.student.last[0].p = 0.0
    return trained


def test_micro_batches_move_weights_centres_and_statistics_as_the_whole_batch_does():
    """Where the network looks at each face alone, nothing but rounding differs: the head saw the whole batch."""
    whole, cut = no_dropout(trainer()), no_dropout(trainer(accumulate=3))
    assert after(whole) == pytest.approx(after(cut), rel=1e-5)
    for part in ("student", "head"):
        torch.testing.assert_close(cut.state()[part], whole.state()[part], rtol=1e-4, atol=1e-6)


def test_the_second_forward_pass_sees_the_dropout_of_the_first():
    """The gradient of cached micro-batches against autograd through all of them at once."""
    cut = trainer(accumulate=3, weight_decay=0.0, momentum=0.0, gradient_norm=1e9)
    seen = []
    cut.student.last[0].register_forward_hook(lambda layer, given, out: seen.append(out.detach() == 0))
    after(cut, 1)
    first, second = seen[:3], seen[3:]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_micro_batches_move_running_statistics_once_each():
    cut, fresh = no_dropout(trainer(over_batch=True, accumulate=3)), trainer(over_batch=True).student
    after(cut, 1)
    for part in cut._to_input(batch(0).faces).chunk(3):
        fresh.norm(fresh.conv(part))
    torch.testing.assert_close(cut.student.norm.state_dict()["running_var"], fresh.norm.running_var)
    torch.testing.assert_close(cut.student.norm.state_dict()["running_mean"], fresh.norm.running_mean)
    assert cut.student.norm.num_batches_tracked == 3


def test_fused_sgd_is_sgd():
    """Every step against v = momentum * v + (g + decay * w); w -= lr * v in float64, within the rounding of its terms.

    Not bit for bit: torch's fused kernel rounds the last few weights of a tensor, less than a vector, otherwise.
    """
    trained = no_dropout(trainer(lr_batch=0, warmup_epochs=0, gradient_norm=1e9, weight_decay=0.05))
    velocity = [torch.zeros_like(p, dtype=torch.float64) for p in trained.student.parameters()]
    for step in range(STEPS):
        before = [p.detach().double() for p in trained.student.parameters()]
        trained.step(batch(step), step, 10)
        for number, (w, p) in enumerate(zip(before, trained.student.parameters(), strict=True)):
            terms = 0.9 * velocity[number], p.grad.double(), 0.05 * w
            moved, sizes = w - 0.1 * sum(terms), w.abs() + 0.1 * sum(term.abs() for term in terms)
            assert ((p - moved).abs() <= 2 * torch.finfo(torch.float32).eps * sizes).all()
            velocity[number] = trained.optimiser.state[p]["momentum_buffer"].double()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_step_is_as_long_as_the_clipped_gradient(precision):
    """In units of the learning rate, and whatever a gradient scaler had multiplied."""
    clipped = {"gradient_norm": 0.03, "weight_decay": 0.0, "lr_batch": 0, "warmup_epochs": 0}
    trained = trainer(precision=precision, **clipped)
    before = [p.detach().clone() for p in trained.student.parameters()]
    norm = torch.tensor(torch.inf)
    for step in range(STEPS):  # a scaler skips its first steps, until nothing overflows
        if not norm.isfinite():
            norm = trained.step(batch(step), step, 10)["gradient_norm"]
    plain = trainer(**clipped).step(batch(step), step, 10)["gradient_norm"]
    assert 0.03 < norm < 100 * plain
    moved = torch.cat([(p - b).flatten() for p, b in zip(trained.student.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.1 * 0.03, rel=1e-4)


def test_the_confidence_of_a_batch_is_that_of_its_geometry_term():
    """k * relu(confidence - cos) * confidence, written out; the dropout is that of the step."""

    def fresh() -> Trainer:
        torch.manual_seed(5)
        head = build_head({"margin": "adaface", "geometry": "cached", "geometry_k": 2.0}, CLASSES, DIM)
        return Trainer(Student(False), head, TrainConfig(batch_size=ROWS, lr=0.1), CPU, 1)

    confidence = torch.linspace(0.1, 0.9, ROWS)
    given = batch(0)._replace(confidence=confidence)
    alone = fresh()
    alone._seed(20, 0)
    cos_st = nn.functional.cosine_similarity(alone._forward(given.faces), given.f_t)
    expected = (2 * (confidence - cos_st).relu() * confidence).mean().item()
    assert fresh().step(given, 20, 10)["geometry"].item() == pytest.approx(expected, rel=1e-5)


def test_averaged_weights_follow_their_formula():
    trained = no_dropout(trainer(over_batch=True, ema=0.3))
    expected = {name: value.clone() for name, value in trained.student.state_dict().items()}
    for step in range(STEPS):
        trained.step(batch(step), step, 10)
        decay = min(0.3, (1 + step) / (10 + step))
        for name, value in trained.student.state_dict().items():
            kept = decay * expected[name] + (1 - decay) * value
            expected[name] = kept if value.is_floating_point() else value.clone()
    torch.testing.assert_close(trained.exported().state_dict(), expected)
    assert trained.exported() is not trained.student


def test_a_gradient_scaler_skips_what_overflows_and_its_state_resumes():
    """float16 as on a GPU; the CPU has the arithmetic for so small a network."""
    whole = trainer(precision="float16")
    after(whole)
    stopped = trainer(precision="float16")
    after(stopped, STEPS - 2)
    resumed = trainer(precision="float16")
    resumed.load_state(stopped.state())
    for step in range(STEPS - 2, STEPS):
        resumed.step(batch(step), step, 10)
    assert whole.state()["scaler"]["scale"] > 1
    assert not equal(whole.state()["student"], trainer().state()["student"])
    assert equal(resumed.state(), whole.state())

    before = [p.detach().clone() for p in whole.student.parameters()]
    whole.scaler.update(1e38)
    whole.step(batch(9), 9, 10)
    assert all(torch.equal(a, b) for a, b in zip(before, whole.student.parameters(), strict=True))
    assert whole.scaler.get_scale() == pytest.approx(0.5e38)


def test_bfloat16_micro_batches_agree_with_the_whole_batch():
    whole = no_dropout(trainer(precision="bfloat16"))
    cut = no_dropout(trainer(precision="bfloat16", accumulate=4))
    assert after(whole) == pytest.approx(after(cut), rel=1e-2)


def test_a_step_depends_on_state_step_and_batch_alone():
    one, other = trainer(), trainer()
    torch.manual_seed(1)
    first = after(one)
    torch.manual_seed(2)
    assert first == after(other)
    assert equal(one.state(), other.state())


@pytest.mark.slow
def test_a_compiled_student_takes_the_steps_of_the_eager_one():
    """Up to rounding, drawn anew where operations are fused."""
    eager, compiled = no_dropout(trainer(over_batch=True)), no_dropout(trainer(over_batch=True, compile=True))
    assert after(compiled) == pytest.approx(after(eager), rel=1e-4)
    assert compiled.network is not compiled.student
    torch.testing.assert_close(compiled.state()["student"], eager.state()["student"], rtol=1e-3, atol=1e-5)
