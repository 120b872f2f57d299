"""Several ranks build the bytes that one builds, also where pictures are left out."""

import os
import shutil
from pathlib import Path

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from cache.build import build
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, jpegs

SKIP = {"on_bad_image": "skip"}


def child(rank: int, ranks: int, folder: str, fail_after: int | None) -> None:
    os.chdir(folder)
    meeting = Path(f"rendezvous{ranks}{fail_after}")
    dist.init_process_group("gloo", init_method=f"file://{folder}/{meeting}", rank=rank, world_size=ranks)
    try:
        teacher = TinyTeacher(fail_after=fail_after)
        build(experiment(cache=SKIP), open_source("data/faces"), teacher, threads=1, quiet=True)
    except KeyboardInterrupt:
        os._exit(1)
    dist.destroy_process_group()


@pytest.mark.parametrize("ranks", [2, 3])
def test_any_number_of_ranks_builds_the_same_bytes_also_after_a_failure(world, ranks):
    from tests.cache.test_build import tree

    people = jpegs(7, 5)
    people[0][2] = people[3][3] = people[3][4] = b"no picture"
    write_recordio_dataset(world / "data" / "faces", people)
    whole = tree(build(experiment(cache=SKIP), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    shutil.rmtree("caches")
    with pytest.raises(mp.ProcessExitedException):
        mp.spawn(child, (ranks, str(world), 5), nprocs=ranks)
    mp.spawn(child, (ranks, str(world), None), nprocs=ranks)
    assert tree(Path("caches/tiny")) == whole
