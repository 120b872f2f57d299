"""The terms of a recipe, summed with their weights.

    terms = build_terms(config.terms, split=config.head.split_classes)     # None where all are off
    loss, stats = terms(f_s, f_t, labels)

Each is a function of the global batch whose gradient autograd makes: the mean over ranks of what ranks get is the
number, and the gradient, of one process that saw all rows. The maths and its sources are in docs/method.md. The term
over classes, `logits`, is the head's, for it goes through the head's columns (distill/head/distribution.py).
"""

from typing import NamedTuple, assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from common.config import TermsConfig
from common.runtime import gather_rows, rank, world_size
from distill.terms.gathered import gather_with_gradient
from distill.terms.match import MATCHES
from distill.terms.ranks import rank_term
from distill.terms.relations import angle_term, distance_term


class TermsOutput(NamedTuple):
    """loss: () the weighted sum, differentiable in f_s. stats: every term by name, detached and without its weight."""

    loss: Tensor
    stats: dict[str, Tensor]


def build_terms(config: TermsConfig, split: bool) -> "Terms | None":
    """The terms of a [terms] section over embeddings alone, None where these are off. split: batches bring labels and
    the teacher's rows of all ranks."""
    return Terms(config, split) if config.match != "off" or config.relation != "off" else None


class Terms:
    """What is told beside the head; it has no state."""

    def __init__(self, config: TermsConfig, split: bool) -> None:
        self.config, self._split = config, split

    def __call__(self, f_s: Tensor, f_t: Tensor, labels: Tensor) -> TermsOutput:
        """Terms of this rank's rows.

        f_s: (B,D) student embeddings of any length. f_t: (B,D) the teacher's, labels: int64 (B,), or with split
        classes those of all ranks, W*B rows. All arithmetic is float32 or wider, also under autocast.
        """
        with torch.autocast(f_s.device.type, enabled=False):
            f_s = f_s if f_s.dtype == torch.float64 else f_s.float()
            unit_t = F.normalize(f_t.to(f_s.dtype))
            config, weighted = self.config, list[tuple[str, float, Tensor]]()
            if config.match != "off":
                own = unit_t[rank() * len(f_s) : (rank() + 1) * len(f_s)] if self._split else unit_t
                weighted.append(("match", config.match_weight, MATCHES[config.match](f_s, own)))
            if config.relation != "off":
                weighted.append(("relation", config.relation_weight, self._relation(f_s, unit_t, labels)))
            loss = torch.stack([weight * value for _, weight, value in weighted]).sum()
            return TermsOutput(loss, {name: value.detach() for name, _, value in weighted})

    def _relation(self, f_s: Tensor, unit_t: Tensor, labels: Tensor) -> Tensor:
        """The mean over ranks is the term of the global batch."""
        config, rows = self.config, len(f_s)
        unit_s = gather_with_gradient(F.normalize(f_s))
        if not self._split:
            unit_t, labels = gather_rows(unit_t), gather_rows(labels)
        match config.relation:
            case "rkd":
                # Distances on every rank alike; the vertices of angles, which are most of the work, are shared out.
                angles = angle_term(unit_s, unit_t, rank() * rows, (rank() + 1) * rows) * world_size()
                return config.distance_weight * distance_term(unit_s, unit_t) + config.angle_weight * angles
            case "ekd":
                return rank_term(unit_s, unit_t, labels, config.rank_temperature)
            case "off":
                raise AssertionError("there is no relation")
            case unknown:
                assert_never(unknown)
