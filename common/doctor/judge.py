"""What is wrong with what was found, a line each that says what to do. Pure."""

from collections.abc import Iterator

from common.doctor.found import SAME_FILES, Found

# The oldest driver for a major version of CUDA (NVIDIA's CUDA compatibility guide, minor version compatibility).
DRIVERS = {11: 450, 12: 525, 13: 580}
# What NVIDIA's documentation of NCCL gives a container's /dev/shm. The loader's memory is anonymous and needs none.
SHARED_MEMORY = 1 << 30
OPEN_FILES = 1024
MAPS = 65_530
DISK = 2 << 30
_AGAIN = "rm .venv/.installed-*, then make doctor"
_FOR_GPUS = "make doctor GPUS=1 installs requirements-gpu.lock"


def problems(found: Found) -> list[str]:
    """Everything that is wrong; empty if nothing is."""
    return [*_libraries(found), *_twice(found), *_torch(found), *_others(found), *_limits(found)]


def driver_needed(cuda: str | None) -> int | None:
    """The oldest driver for a version of CUDA, None where no table says."""
    return DRIVERS.get(int(cuda.split(".")[0])) if cuda else None


def _libraries(found: Found) -> Iterator[str]:
    for name, library in found.libraries.items():
        if library.error is not None:
            yield f"{name} cannot be imported ({library.error}): {_AGAIN}"


def _twice(found: Found) -> Iterator[str]:
    for row in SAME_FILES:
        here = [f"{name} {found.distributions[name]}" for name in row if name in found.distributions]
        if len(here) > 1:
            names = " ".join(name for name in row if name in found.distributions)
            yield (
                f"{' and '.join(here)} bring the same files, and overwrite each other: "
                f".venv/bin/pip uninstall {names}, then {_AGAIN}"
            )


def _torch(found: Found) -> Iterator[str]:
    torch = found.libraries["torch"]
    if torch.error is not None or not found.cards:
        return
    cuda, needed = torch.facts["cuda"], driver_needed(torch.facts["cuda"])
    if cuda is None:
        yield (
            f"torch {torch.version} is built without CUDA, and the driver shows {len(found.cards)} card(s): "
            f"{_FOR_GPUS}. If it comes so again, your package index serves CPU builds: take PyPI's"
        )
        return
    if needed is not None and found.driver is not None and _major(found.driver) < needed:
        yield f"driver {found.driver} is too old for torch's CUDA {cuda}: install {needed} or newer"
        return
    oldest = torch.facts["oldest"]
    for card in sorted({card for card in found.cards if oldest and card.capability < oldest}, key=str):
        yield (
            f"{card.name} is sm_{card.capability[0]}{card.capability[1]}, and torch {torch.version} has code from "
            f"sm_{oldest[0]}{oldest[1]} on: use another card, or an older torch"
        )
    if torch.facts["cards"] == 0 and found.visible is None:
        yield (
            f"torch sees none of {len(found.cards)} card(s): hand /dev/nvidia* to this container (docker run --gpus "
            "all); after an update of the driver, reboot"
        )
    elif torch.facts["cards"] == 0:
        yield f"CUDA_VISIBLE_DEVICES={found.visible} hides all {len(found.cards)} card(s): unset it, or say GPUS=0"


def _others(found: Found) -> Iterator[str]:
    """FAISS and onnxruntime, where torch has shown that cards work."""
    usable = found.libraries["torch"].facts.get("cards", 0)
    faiss, runtime = found.libraries["faiss"], found.libraries["onnxruntime"]
    if not usable:
        return
    if faiss.error is None and not faiss.facts["gpus"]:
        gpu_build = any(name.startswith("faiss-gpu") for name in found.distributions)
        what = "does not see a card that torch uses: reinstall" if gpu_build else "searches on the CPU:"
        yield f"FAISS {faiss.version} {what} {_AGAIN if gpu_build else _FOR_GPUS}"
    if runtime.error is None and "CUDAExecutionProvider" not in runtime.facts["providers"]:
        yield f"onnxruntime {runtime.version} cannot use a card, so no ONNX teacher can: {_FOR_GPUS}"


def _limits(found: Found) -> Iterator[str]:
    limits, ranks = found.limits, max(1, found.libraries["torch"].facts.get("cards", 0))
    if limits.cores_quota is not None and limits.cores_quota < limits.cores_allowed:
        yield (
            f"the cgroup grants {limits.cores_quota:g} of {limits.cores_allowed} cores, and a command starts threads "
            f"for all of them: say THREADS={max(1, int(limits.cores_quota) // ranks)}"
        )
    if limits.shared_memory is not None and ranks > 1 and limits.shared_memory < SHARED_MEMORY:
        yield (
            f"/dev/shm has {limits.shared_memory >> 20:,} MiB, and NCCL, by which {ranks} cards train together, may "
            f"need {SHARED_MEMORY >> 20:,}: docker run --shm-size={SHARED_MEMORY >> 30}g (or --ipc=host)"
        )
    if limits.open_files < OPEN_FILES:
        enough = min(limits.open_files_most, 65_536)
        how = f"ulimit -n {enough}" if enough >= OPEN_FILES else "raise the hard limit (ulimit -Hn) first"
        yield f"{limits.open_files:,} open files are too few for the loader's workers: {how}"
    if limits.maps is not None and limits.maps < MAPS:
        yield (
            f"vm.max_map_count is {limits.maps:,}, and every shard of a cache is mapped on its own: "
            f"sysctl vm.max_map_count={MAPS}, or build with a larger cache.shard_rows"
        )
    if limits.disk_free < DISK:
        yield f"{limits.disk} has {limits.disk_free >> 20:,} MiB free: caches and runs lie there; make room"


def _major(driver: str) -> int:
    major = driver.split(".")[0]
    return int(major) if major.isdecimal() else 0
