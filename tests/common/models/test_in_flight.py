"""Two batches in flight give the numbers and the bytes of one after another, in the same order."""

from collections.abc import Callable

import numpy as np
import pytest

from cache.build import build
from common.backbones import build_backbone
from common.embeddings import embed_with_norms
from common.errors import ModelError
from common.faces.sources import open_source
from common.models.in_flight import embed_in_turn
from common.models.torch_model import TorchNetwork
from tests.tiny import TinyTeacher, experiment, jpegs, tree


class Device(TinyTeacher):
    """A teacher on a device that works in the background: nothing is there before it is waited for."""

    in_flight = 2

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.most = 0

    def begin(self, faces: np.ndarray) -> Callable[[], np.ndarray]:
        self.told.append("begin")
        self.most = max(self.most, self.told.count("begin") - self.told.count("finish"))

        def finish() -> np.ndarray:
            self.told.append("finish")
            return self.embed(faces)

        return finish


def batches(*sizes: int) -> list[tuple[int, np.ndarray]]:
    random = np.random.default_rng(0)
    return [
        (number, random.integers(0, 256, (size, 112, 112, 3) if size else (0,)).astype(np.uint8))
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("sizes", [(), (3,), (3, 2), (3, 0, 2, 4, 1), (0,)])
def test_answers_come_in_order_with_two_batches_in_flight(sizes):
    device, plain = Device(), TinyTeacher()
    found = list(embed_in_turn(device, batches(*sizes)))
    want = [(number, plain.embed(faces) if len(faces) else faces) for number, faces in batches(*sizes)]
    assert [number for number, _ in found] == [number for number, _ in want]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, want, strict=True))
    assert device.most == min(2, sum(size > 0 for size in sizes))


def test_the_next_batch_is_begun_before_the_first_is_waited_for():
    device = Device()
    for _ in embed_in_turn(device, batches(1, 1, 1)):
        device.told.append("used")
    assert device.told == ["begin", "begin", "finish", "used", "begin", "finish", "used", "finish", "used"]


def test_stage_one_writes_the_same_bytes(world):
    made = [
        tree(
            build(experiment(cache={"path": f"caches/{n}"}), open_source("data/faces"), teacher, threads=1, quiet=True)
        )
        for n, teacher in enumerate((TinyTeacher(), Device()))
    ]
    assert made[0] == made[1]


def test_evaluation_has_the_same_numbers():
    faces = [face for person in jpegs(3, 3) for face in person]
    plain, device = (embed_with_norms(model, faces, batch_size=2) for model in (TinyTeacher(), Device()))
    assert np.array_equal(plain.rows, device.rows)
    assert np.array_equal(plain.norms, device.norms)


def test_what_is_wrong_with_a_batch_is_said_when_it_is_its_turn():
    class Broken(Device):
        def embed(self, faces: np.ndarray) -> np.ndarray:
            if self.told.count("finish") == 2:
                raise ModelError("not finite")
            return super().embed(faces)

    answers = embed_in_turn(Broken(), batches(1, 1, 1))
    assert next(answers)[0] == 0
    with pytest.raises(ModelError, match="not finite"):
        next(answers)


def test_a_network_on_a_cpu_begins_one_batch_and_answers_as_when_called():
    network = TorchNetwork(build_backbone("mobilefacenet_0.25", 16), 127.5, 127.5)
    faces = batches(2)[0][1]
    assert network.in_flight == 1
    assert np.array_equal(network.begin(faces)(), network(faces))
