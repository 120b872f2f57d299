"""Relational terms against their formulas, pair by pair and triplet by triplet, in float64."""

import pytest
import torch
from torch import Tensor

from common.config import TermsConfig
from distill.terms import build_terms, ranks, relations

ROWS, DIM = 9, 5


def embeddings(rows: int = ROWS) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    f_s, f_t = (torch.randn(rows, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
    return (3 * f_s).requires_grad_(), f_t, torch.randint(3, (rows,), generator=generator)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def huber(x: Tensor) -> Tensor:
    return x**2 / 2 if x.abs() < 1 else x.abs() - 0.5


def distances_by_hand(f_s: Tensor, f_t: Tensor) -> Tensor:
    pairs = [(i, j) for i in range(len(f_s)) for j in range(len(f_s)) if i != j]
    relative = []
    for z in (unit(f_s), unit(f_t)):
        lengths = [(z[i] - z[j]).norm() for i, j in pairs]
        mean = sum(lengths) / len(lengths)
        relative.append([length / mean for length in lengths])
    return sum(huber(s - t) for s, t in zip(*relative, strict=True)) / len(pairs)


def angles_by_hand(f_s: Tensor, f_t: Tensor) -> Tensor:
    numbers = range(len(f_s))
    triplets = [(i, j, k) for i in numbers for j in numbers for k in numbers if len({i, j, k}) == 3]

    def angle(z: Tensor, i: int, j: int, k: int) -> Tensor:
        a, b = z[i] - z[j], z[k] - z[j]
        return a @ b / (a.norm() * b.norm())

    z_s, z_t = unit(f_s), unit(f_t)
    return sum(huber(angle(z_s, *which) - angle(z_t, *which)) for which in triplets) / len(triplets)


def ranks_by_hand(f_s: Tensor, f_t: Tensor, labels: Tensor, temperature: float) -> Tensor:
    pairs = [(i, j) for i in range(len(f_s)) for j in range(i + 1, len(f_s))]
    thresholds, cosines = [], []
    for z in (unit(f_s), unit(f_t)):
        cosines.append({(i, j): z[i] @ z[j] for i, j in pairs})
        different = sorted((float(cosines[-1][i, j]) for i, j in pairs if labels[i] != labels[j]), reverse=True)
        thresholds.append([different[place - 1] for place in (10, 100) if place <= len(different)])
    losses: dict[bool, list[Tensor]] = {True: [], False: []}
    for i, j in pairs:
        hard, soft = [], []
        for cosine, limits in zip(cosines, thresholds, strict=True):
            hard.append(sum(float(cosine[i, j]) >= limit for limit in limits))
            soft.append(sum(torch.sigmoid((cosine[i, j] - limit) / temperature) for limit in limits))
        if hard[0] != hard[1]:
            losses[bool(labels[i] == labels[j])].append((soft[0] - soft[1]).abs())
    assert all(losses.values())
    return sum(sum(found) / len(found) for found in losses.values())


def compare(section: dict, expected: Tensor, f_s: Tensor, f_t: Tensor, labels: Tensor) -> None:
    terms = build_terms(TermsConfig.model_validate(section), split=False)
    loss, stats = terms(f_s, f_t, labels)
    torch.testing.assert_close(stats["relation"], expected)
    (gradient,) = torch.autograd.grad(loss, f_s)
    weight = section.get("relation_weight", 1.0)
    torch.testing.assert_close(gradient, weight * torch.autograd.grad(expected, f_s)[0])
    assert gradient.norm() > 0


@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_distances_and_angles_are_those_of_the_formula(at_once, monkeypatch):
    monkeypatch.setitem(relations._AT_ONCE, "cpu", at_once)
    f_s, f_t, labels = embeddings()
    expected = 0.5 * distances_by_hand(f_s, f_t) + 3.0 * angles_by_hand(f_s, f_t)
    section = {"relation": "rkd", "relation_weight": 2.0, "distance_weight": 0.5, "angle_weight": 3.0}
    compare(section, expected, f_s, f_t, labels)


def test_a_photo_that_is_there_twice_has_finite_gradients():
    f_s, f_t, labels = embeddings()
    twice = torch.cat([f_s.detach(), f_s.detach()[:2]]).requires_grad_()
    terms = build_terms(TermsConfig(relation="rkd"), split=False)
    loss, _ = terms(twice, torch.cat([f_t, f_t[:2]]), torch.cat([labels, labels[:2]]))
    loss.backward()
    assert twice.grad.isfinite().all()


def test_ranks_among_thresholds_are_those_of_the_formula():
    f_s, f_t, labels = embeddings(17)
    expected = ranks_by_hand(f_s, f_t, labels, 0.2)
    compare({"relation": "ekd", "rank_temperature": 0.2}, expected, f_s, f_t, labels)


def test_a_student_that_ranks_as_its_teacher_has_nothing_to_learn():
    _, f_t, labels = embeddings(17)
    f_s = (7 * f_t).requires_grad_()
    loss, _ = build_terms(TermsConfig(relation="ekd"), split=False)(f_s, f_t, labels)
    loss.backward()
    assert loss.item() == 0
    assert f_s.grad.norm() == 0


def test_a_batch_of_few_pairs_has_a_threshold_all_the_same():
    assert [ranks.places(pairs) for pairs in (3, 11, 2016, 10**9)] == [
        [1],
        [10],
        [10, 100, 1000],
        [10**n for n in range(1, 7)],
    ]
