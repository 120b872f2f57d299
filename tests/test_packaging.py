"""What pip installs: every package, typed, and requirements that the lock fulfils."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
NO_PACKAGES = {"tests", "benchmarks", "configs", "docs", "examples"}


def packages() -> list[str]:
    """The top folders that hold Python, all packages but those that are not installed."""
    return sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - NO_PACKAGES)


def locked(name: str = "requirements.lock") -> dict[str, str]:
    pinned = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pinned}


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines]


def test_every_package_is_installed_typed_checked_and_under_contract():
    tools = PROJECT["tool"]
    assert sorted(tools["mypy"]["packages"]) == packages()
    assert sorted(tools["importlinter"]["root_packages"]) == packages()
    assert sorted(pattern.rstrip("*") for pattern in tools["setuptools"]["packages"]["find"]["include"]) == packages()
    assert "py.typed" in tools["setuptools"]["package-data"]["*"]
    for package in packages():
        assert (ROOT / package / "py.typed").is_file(), package
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
            assert (folder / "__init__.py").is_file(), folder


def test_types_are_checked_strictly_wherever_others_look():
    assert PROJECT["tool"]["mypy"]["strict"] is True


@pytest.mark.parametrize("wanted", requirements(PROJECT["project"]["dependencies"] + EXTRAS["dev"]), ids=str)
def test_a_requirement_has_a_lower_bound_alone_and_the_lock_fulfils_it(wanted):
    assert [specifier.operator for specifier in wanted.specifier] == [">="]
    assert wanted.specifier.contains(locked()[canonicalize_name(wanted.name)])


def test_gpu_packages_are_those_of_the_cpu_at_the_same_version():
    cpu, gpu = locked(), locked("requirements-gpu.lock")
    for wanted in requirements(EXTRAS["gpu"]):
        assert {specifier.operator for specifier in wanted.specifier} == {">="}
        namesake = {"faiss-gpu": "faiss-cpu", "onnxruntime-gpu": "onnxruntime"}[wanted.name]
        assert wanted.specifier.contains(cpu[namesake])
        assert gpu[wanted.name] == cpu[namesake]
        assert wanted.name not in cpu, "both bring the same files"
        assert namesake not in gpu, "both bring the same files"


@pytest.mark.slow
def test_what_pip_installs_is_imported_from_there_and_typed(tmp_path):
    pytest.importorskip("setuptools", minversion="77", reason="builds without fetching a builder")
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "site"
    for package in packages():
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for package in packages():
        here = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert here | {f"{package}/py.typed"} <= held
    assert "demo/teacher.safetensors" in held
    assert not [name for name in held if name.split("/")[0] in NO_PACKAGES]

    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    code = (
        "import cache.reader, common.models; print(cache.reader.__file__); print(common.models.open_model.__module__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(site / "cache/reader.py"), "common.models.face_model"]
