"""What comparing pixels costs the loader of stage two: train.verify = "off", "sample" and "all" on the same batches.

    python benchmarks/verify_pixels.py --faces DATA/lfw --cache caches/lfw [--rounds 5]

One process makes batches as a worker does: read, decode, mirror, gather f_t. Every batch is made under each setting
in turn, in changing order, so that all meet the same load; ratios are of processor time over all batches.
"""

import time
from pathlib import Path

import click
import numpy as np

from benchmarks.spread import ratio_text
from cache.reader import TeacherCache
from common.faces import Views, epoch_order, open_source
from distill.batches import FaceBatches

SETTINGS = ("off", "sample", "all")


@click.command()
@click.option("--faces", type=click.Path(path_type=Path), required=True, help="What the cache was built from.")
@click.option("--cache", "cache_path", type=click.Path(path_type=Path), required=True)
@click.option("--batch", default=64, show_default=True)
@click.option("--batches", default=30, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(faces: Path, cache_path: Path, batch: int, batches: int, rounds: int) -> None:
    source, cache = open_source(faces), TeacherCache(cache_path)
    views = Views.from_manifest(cache.manifest["views"])
    makers = {verify: FaceBatches(source, views, cache, False, (112, 112), verify) for verify in SETTINGS}
    seconds = {verify: [0.0] * rounds for verify in SETTINGS}
    for epoch in range(rounds):
        order = epoch_order(len(source), epoch, 0)
        shown = np.arange(len(order)) % views.count
        for number in range(min(batches, len(order) // batch)):
            rows = slice(number * batch, (number + 1) * batch)
            for verify in np.roll(SETTINGS, number):
                began = time.process_time()
                makers[str(verify)][order[rows], shown[rows], epoch]
                seconds[str(verify)][epoch] += time.process_time() - began
    made = rounds * min(batches, len(source) // batch) * batch
    for verify in SETTINGS:
        rate, ratio = made / sum(seconds[verify]), ratio_text(seconds[verify], seconds["off"])
        print(f'verify = "{verify}": {rate:,.0f} faces/s of processor time, takes {ratio} times "off"')


if __name__ == "__main__":
    main()
