"""What each term beside the margin adds to the head's step.

    python benchmarks/terms.py [--classes 85742] [--batch 256] [--dim 512] [--rounds 5] [--threads 1]

A step is forward and backward of the head (ArcFace, distilled centres) and the term, without the network. Times are
processor milliseconds, medians of rounds that alternate; the difference to the head alone is said.
"""

import statistics
import time

import click
import torch
from torch import Tensor

from common.config import TermsConfig
from distill.head import build_head
from distill.terms import build_terms

TERMS = {
    "head alone": {},
    "match cosine": {"match": "cosine"},
    "match mse": {"match": "mse"},
    "logits kd": {"logits": "kd"},
    "logits gkd": {"logits": "gkd"},
    "relation rkd": {"relation": "rkd"},
    "relation ekd": {"relation": "ekd"},
}


class Step:
    """A head with terms over one batch."""

    def __init__(self, section: dict[str, str], batch: tuple[Tensor, Tensor, Tensor], centers: Tensor) -> None:
        terms = TermsConfig.model_validate(section)
        self.head = build_head({"margin": "arcface", "m": 0.5}, *centers.shape)
        self.head.centers.weight.copy_(centers)
        if terms.any:
            self.head.teach(terms, None if terms.logits == "off" else centers)
        self.beside, self.batch = build_terms(terms, split=False), batch

    def milliseconds(self) -> float:
        """Of processor time."""
        f_s, f_t, labels = self.batch
        f_s = f_s.clone().requires_grad_()
        began = time.process_time()
        loss = self.head(f_s, f_t, labels, 0.0).loss
        if self.beside is not None:
            loss = loss + self.beside(f_s, f_t, labels).loss
        loss.backward()
        return 1e3 * (time.process_time() - began)


@click.command()
@click.option("--classes", default=85_742, show_default=True)
@click.option("--batch", default=256, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(classes: int, batch: int, dim: int, rounds: int, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    rows = torch.randn(batch, dim) * 20, torch.randn(batch, dim), torch.randint(classes, (batch,))
    centers = torch.randn(classes, dim)
    steps = {name: Step(section, rows, centers) for name, section in TERMS.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            taken[name].append(step.milliseconds())
    alone, *added = (statistics.median(times[1:]) for times in taken.values())
    extra = ", ".join(f"{name} +{more - alone:,.0f}" for name, more in zip([*TERMS][1:], added, strict=True))
    print(f"{classes:,} classes x {dim}, batch {batch}: head alone {alone:,.0f} ms a step, {extra}")


if __name__ == "__main__":
    main()
