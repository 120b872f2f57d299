"""torch's fused SGD against its foreach and loop forms, on the weights of a student.

    OMP_NUM_THREADS=1 python benchmarks/optimiser.py [--backbone mobilefacenet] [--rounds 20]

All three take the same gradients in turn; ratios are medians over rounds. The largest difference between the weights
is printed, too.
"""

import copy
import time

import click
import numpy as np
import torch

from benchmarks.spread import ratio_text
from common.backbones import build_backbone

FORMS = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@click.command()
@click.option("--backbone", default="mobilefacenet", show_default=True)
@click.option("--rounds", default=20, show_default=True)
def main(backbone: str, rounds: int) -> None:
    torch.set_num_threads(1)
    first = build_backbone(backbone, 512).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    networks = {form: copy.deepcopy(first) for form in FORMS}
    optimisers = {
        form: torch.optim.SGD(networks[form].parameters(), 0.1, 0.9, weight_decay=5e-4, **options)
        for form, options in FORMS.items()
    }
    seconds: dict[str, list[float]] = {form: [] for form in FORMS}
    for _ in range(rounds + 1):
        gradients = [torch.randn_like(parameter) for parameter in first.parameters()]
        for form, network in networks.items():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
            began = time.perf_counter()
            optimisers[form].step()
            seconds[form].append(time.perf_counter() - began)
    median = {form: float(np.median(took[1:])) for form, took in seconds.items()}
    for form, network in networks.items():
        pairs = zip(network.parameters(), networks["loop"].parameters(), strict=True)
        difference = max(float((a - b).abs().max().detach()) for a, b in pairs)
        ratio = ratio_text(seconds[form][1:], seconds["fused"][1:])
        print(f"{form}: {1e3 * median[form]:.2f} ms, {ratio} times fused, {difference:g} from the loop's weights")


if __name__ == "__main__":
    main()
