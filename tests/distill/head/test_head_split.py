"""Class centres split over ranks, and replicated on them, against one process that holds all and sees all rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from common.runtime import mean_over_ranks
from distill.head import columns
from distill.head.class_shard import ClassShard
from distill.head.head import Head, build_head
from distill.run import state_file
from tests.distill.head.test_sampled_centers import Largest

STEPS, ROWS, CLASSES, DIM = 5, 12, 31, 16
GEOMETRY = {"margin": "adaface", "geometry": "live"}
SECTIONS: dict[str, dict] = {
    "distilled": GEOMETRY,
    "frozen": GEOMETRY | {"centers": "frozen"},
    "standardised": GEOMETRY | {"geometry_penalty": "standardised"},
    "learned": {"margin": "arcface", "m": 0.5, "centers": "learned"},
    "in blocks": {"margin": "cosface", "centers": "learned", "logits_mib": 0},
    "sampled, distilled": GEOMETRY | {"sample_rate": 0.5},
    "sampled, learned": {"margin": "cosface", "centers": "learned", "sample_rate": 0.5},
}
BLOCK = 3 * DIM * 8  # bytes of three rows, which divides no part
GO_ON = ("learned", "sampled, learned")


def data(steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Global batches (f_s, f_t, labels), classes repeating."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(steps):
        f_s, f_t = (torch.randn(ROWS, DIM, generator=generator) * 5 for _ in range(2))
        yield f_s, f_t, torch.randint(CLASSES, (ROWS,), generator=generator)


class Play:
    """A head under SGD on one rank's rows of every global batch; in float64, where no rounding hides a difference."""

    def __init__(self, section: dict, rank: int, ranks: int, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(0)
        self.head: Head = build_head(section, CLASSES, DIM).to(dtype)
        self.dtype = dtype
        self.rows = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
        parameters = list(self.head.parameters()) or [torch.nn.Parameter(torch.zeros(1))]
        self.optimiser = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)
        self.head.serve(self.optimiser)
        self.ranks = ranks

    def step(self, number: int, f_s: Tensor, f_t: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The step's loss and statistics over all ranks, the gradient of this rank's rows for the mean of all."""
        self.optimiser.zero_grad()
        mine = f_s[self.rows].to(self.dtype, copy=True).requires_grad_()
        if not self.head.config.split_classes:
            f_t, labels = f_t[self.rows], labels[self.rows]
        loss, stats = self.head(mine, f_t, labels, number / STEPS, step=number)
        loss.backward()
        self.head.average_gradients()
        self.optimiser.step()
        target = stats.pop("target_logit")
        means = {key: mean_over_ranks(value.clone()) for key, value in (stats | {"loss": loss.detach()}).items()}
        return means | {"gradient": mine.grad / self.ranks, "target": target}

    def state(self) -> dict:
        return {"head": self.head.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict) -> None:
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])


def play(section: dict, rank: int, ranks: int) -> tuple[list[dict[str, Tensor]], dict]:
    player = Play(section, rank, ranks)
    return [player.step(number, *batch) for number, batch in enumerate(data(STEPS))], player.state()


def state_after_100_steps(rank: int, ranks: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """What the head holds, every rank with all classes."""
    player = Play(GEOMETRY, rank, ranks, dtype)
    for number, batch in enumerate(data(100)):
        player.step(number, *batch)
    return player.state()["head"]


def child(rank: int, ranks: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    columns.chunk_width = lambda batch, device: 3
    state_file.BLOCK = BLOCK
    results: dict[str, Any] = {"part": {}, "largest": {}, "replicated": {}}
    for name, section in SECTIONS.items():
        steps, state = play(section, rank, ranks)
        results["replicated"][name] = {"steps": steps, "head": state["head"]}
        results[name], state = play(section | {"split_classes": True}, rank, ranks)
        results["part"][name] = state["head"]["centers.weight"].part
        with Largest() as largest:
            state_file.write_state(state, Path(folder, f"{name}.pt") if rank == 0 else None)
        results["largest"][name] = largest.bytes
    results["long"] = state_after_100_steps(rank, ranks, torch.float32)
    for name in GO_ON:
        goes_on = Play(SECTIONS[name] | {"split_classes": True}, rank, ranks)
        goes_on.load(torch.load(f"{folder}/{name} alone.pt", weights_only=True))
        results[f"{name} goes on"] = [goes_on.step(n, *b) for n, b in enumerate(data(2 * STEPS)) if n >= STEPS]
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request, tmp_path_factory) -> list[dict]:
    """What every rank of 2 and of 3 found, by name of the section; on the first also the saved states."""
    folder = tmp_path_factory.mktemp("ranks")
    for name in GO_ON:
        state_file.write_state(play(SECTIONS[name], 0, 1)[1], folder / f"{name} alone.pt")
    # Forked, since importing torch takes longer than all the steps.
    mp.start_processes(child, (request.param, str(folder)), nprocs=request.param, start_method="fork")
    found = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(request.param)]
    found[0]["saved"] = {name: torch.load(folder / f"{name}.pt", weights_only=True) for name in SECTIONS}
    return found


def assert_steps_equal(ranks: list[list[dict[str, Tensor]]], alone: list[dict[str, Tensor]]) -> None:
    for number, wanted in enumerate(alone):
        for key, value in wanted.items():
            parts = [steps[number][key] for steps in ranks]
            have = torch.cat(parts) if key in ("gradient", "target") else parts[0]
            torch.testing.assert_close(have, value, rtol=1e-11, atol=1e-12, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", SECTIONS)
def test_split_centres_give_the_numbers_of_one_process(ranks, name):
    alone, state = play(SECTIONS[name], 0, 1)
    assert_steps_equal([rank[name] for rank in ranks], alone)
    saved = ranks[0]["saved"][name]
    assert saved.keys() == state.keys()
    assert saved["head"].keys() == state["head"].keys()
    assert saved["optimiser"]["state"].keys() == state["optimiser"]["state"].keys()
    for key, value in state["head"].items():
        torch.testing.assert_close(saved["head"][key], value, rtol=1e-11, atol=1e-12)
    for number, entry in state["optimiser"]["state"].items():
        momentum = saved["optimiser"]["state"][number]["momentum_buffer"]
        torch.testing.assert_close(momentum, entry["momentum_buffer"], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", SECTIONS)
def test_centres_held_by_every_rank_give_the_numbers_of_one_process(ranks, name):
    """With sampled classes, too: all ranks draw those of the global batch."""
    alone, state = play(SECTIONS[name], 0, 1)
    assert_steps_equal([rank["replicated"][name]["steps"] for rank in ranks], alone)
    for rank in ranks:
        assert rank["replicated"][name]["head"].keys() == state["head"].keys()
        for key, value in state["head"].items():
            torch.testing.assert_close(rank["replicated"][name]["head"][key], value, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_rank_holds_its_share_alone(ranks, name):
    """On no rank is there more than a block of the others' centres and momenta while a state is written."""
    whole = ranks[0]["saved"][name]["head"]["centers.weight"]
    assert whole.shape == (CLASSES, DIM)
    for number, rank in enumerate(ranks):
        assert torch.equal(rank["part"][name], ClassShard(CLASSES, number, len(ranks)).share(whole))
        assert rank["largest"][name] <= BLOCK
    assert ranks[0]["largest"][name] == BLOCK


@pytest.mark.parametrize("name", GO_ON)
def test_split_ranks_go_on_from_the_state_of_one_process(ranks, name):
    """Centres and momentum of a checkpoint fit any number of ranks."""
    player = Play(SECTIONS[name], 0, 1)
    alone = [player.step(number, *batch) for number, batch in enumerate(data(2 * STEPS))][STEPS:]
    assert_steps_equal([rank[f"{name} goes on"] for rank in ranks], alone)


def test_replicated_centres_and_statistics_of_all_ranks_agree_bit_for_bit_after_100_steps(ranks):
    """The public reference lets every rank keep its own."""
    first = ranks[0]["long"]
    for other in ranks[1:]:
        assert first.keys() == other["long"].keys() == {"centers.weight", "norms.mean", "norms.std"}
        for key, value in other["long"].items():
            assert torch.equal(value, first[key]), key
    for key, value in state_after_100_steps(0, 1, torch.float64).items():
        torch.testing.assert_close(first[key].double(), value, rtol=1e-5, atol=1e-6)


def test_parts_are_disjoint_and_complete_however_uneven():
    for classes, parts in ((11, 3), (2, 3), (85_742, 8)):
        shards = [ClassShard(classes, part, parts) for part in range(parts)]
        numbers = [range(shard.first, shard.first + len(shard)) for shard in shards]
        assert [n for part in numbers for n in part] == list(range(classes))


def test_split_centres_begin_as_the_parts_of_whole_ones(monkeypatch):
    from distill.head import centers

    monkeypatch.setattr(centers, "_ROWS", 4)
    torch.manual_seed(0)
    whole = centers.KeptCenters(ClassShard(CLASSES), DIM).weight
    parts = []
    for part in range(3):
        torch.manual_seed(0)
        parts.append(centers.KeptCenters(ClassShard(CLASSES, part, 3), DIM).weight)
    assert torch.equal(torch.cat(parts), whole)
