"""Commands keep the memory that they free: a large buffer faults its pages in once, not at every operation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.allocator import USERS_OWN

ROOT = Path(__file__).parents[2]
GLIBC = sys.platform.startswith("linux") and "glibc" in os.confstr("CS_GNU_LIBC_VERSION")
pytestmark = pytest.mark.skipif(not GLIBC, reason="another allocator than glibc's")

LOOP = """
import os, resource, sys
import click
from common.cli import Commands

def faults():
    size, before = 48 << 20, resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        b"x" * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def forked():
    reading, writing = os.pipe()
    if os.fork() == 0:
        faults()
        os.write(writing, str(faults()).encode())
        os._exit(0)
    os.wait()
    return int(os.read(reading, 99))

@click.group(cls=Commands)
def main():
    pass

@main.command()
def here():
    faults()
    print(faults(), forked())

faults()
print(faults())
main()
"""


def page_faults(**environment: str) -> list[int]:
    """Of the same loop: before a command, in it, and in a process forked from it, as loaders' workers are."""
    own = {name: value for name, value in os.environ.items() if name not in (*USERS_OWN, "GLIBC_TUNABLES")}
    asked = [sys.executable, "-c", LOOP, "here"]
    done = subprocess.run(asked, env={**own, **environment}, capture_output=True, text=True, check=True, cwd=ROOT)
    return [int(number) for number in done.stdout.split()]


def test_a_command_and_what_it_forks_fault_the_pages_of_large_buffers_in_once():
    before, inside, forked = page_faults()
    assert 10 * inside < before
    assert 10 * forked < before


@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_MMAP_THRESHOLD_", "65536"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=65536")]
)
def test_settings_of_the_users_own_stay(name, value):
    before, inside, _ = page_faults(**{name: value})
    assert 2 * inside > before
