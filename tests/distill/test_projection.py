"""Students narrower than their teacher: what is dropped at export changes none of their cosines."""

import pytest
import torch
from torch.nn import functional as F

from common.errors import ConfigError
from distill.projection import build_projection
from tests.distill.small_runs import equal, final_state, run

NARROW = {"student": {"embedding_size": 6}, "terms": {"match": "cosine"}}


def test_a_lift_keeps_every_cosine_whatever_its_weights_become():
    torch.manual_seed(0)
    lift = build_projection(6, 16)
    assert lift is not None
    with torch.no_grad():
        for parameter in lift.parameters():
            parameter.add_(torch.randn_like(parameter))
    f = F.normalize(torch.randn(20, 6))
    torch.testing.assert_close(lift(f) @ lift(f).T, f @ f.T, rtol=1e-5, atol=1e-5)


def test_a_lift_is_trained():
    torch.manual_seed(0)
    lift, f, target = build_projection(3, 5), torch.randn(50, 3), torch.randn(3, 5)
    directions = F.normalize(f @ target)
    before = (1 - F.cosine_similarity(lift(f), directions)).mean()
    optimiser = torch.optim.SGD(lift.parameters(), lr=1.0)
    for _ in range(50):
        optimiser.zero_grad()
        loss = (1 - F.cosine_similarity(lift(f), directions)).mean()
        loss.backward()
        optimiser.step()
    assert loss < before - 0.2


def test_widths_that_agree_need_no_lift_and_a_wider_student_is_refused():
    assert build_projection(16, 16) is None
    with pytest.raises(ConfigError, match=r"student\.embedding_size is 32, but the teacher's embeddings are 16 wide"):
        build_projection(32, 16)


def test_a_narrow_student_trains_resumes_and_leaves_at_its_own_width(cached, stop_at):
    whole = run("whole", **NARROW)
    stop_at(5, "narrow", **NARROW)
    assert equal(run("narrow", **NARROW), whole)
    state = final_state("narrow")
    assert equal(state, final_state("whole"))
    assert state["head"]["centers.weight"].shape[1] == 16
    assert "projection" in state
    assert not any("projection" in name or "reflectors" in name for name in whole)
    assert 6 in [len(weight) for weight in whole.values() if weight.ndim]
