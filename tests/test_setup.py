"""pyproject.toml, environment.yml and requirements.lock describe one and the same environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
# Where conda-forge uses another name for the same thing.
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "playwright": "playwright-python",
    "dask": "dask-core",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pyproject_ranges() -> dict[str, SpecifierSet]:
    """Every requirement of the package and its extras, by canonical name."""
    lines = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        lines += extra
    requirements = [Requirement(line) for line in lines]
    names = [canonicalize_name(r.name) for r in requirements]
    assert len(names) == len(set(names)), "a requirement is listed twice"
    return {name: r.specifier for name, r in zip(names, requirements, strict=True)}


def conda_ranges() -> dict[str, SpecifierSet]:
    """Every conda line, by conda name."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    return {line.partition(" ")[0]: SpecifierSet(line.partition(" ")[2]) for line in lines}


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """Every pin of the lock with its hashes."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    rows = [line.split("--hash=") for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(row[0]), [h.strip() for h in row[1:]]) for row in rows]


def test_environment_and_pyproject_ask_for_the_same_ranges() -> None:
    ours = {CONDA_NAMES.get(name, name): spec for name, spec in pyproject_ranges().items()}
    conda = conda_ranges()
    python = conda.pop("python")
    conda.pop("pip")
    assert python == SpecifierSet(PROJECT["requires-python"])
    assert {k: str(v) for k, v in conda.items()} == {k: str(v) for k, v in ours.items()}


def test_lock_meets_every_range_on_both_pythons() -> None:
    entries = lock_entries()
    for python in ("3.11.9", "3.12.9"):
        marker_environment = {
            "python_full_version": python,
            "python_version": python[:4],
            "sys_platform": "linux",
        }
        pins: dict[str, Version] = {}
        for requirement, _ in entries:
            if requirement.marker is None or requirement.marker.evaluate(marker_environment):
                name = canonicalize_name(requirement.name)
                assert name not in pins, f"{name} is pinned twice for Python {python}"
                pins[name] = Version(str(requirement.specifier).removeprefix("=="))
        for name, allowed in pyproject_ranges().items():
            if name != "torch":
                assert name in pins, f"{name} is missing from requirements.lock for Python {python}"
                assert pins[name] in allowed, f"{name} {pins[name]} is outside {allowed}"


def test_lock_has_hashes_for_exact_pins_only() -> None:
    for requirement, hashes in lock_entries():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), f"{requirement} is not an exact pin"
        assert hashes, f"{requirement.name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes)


def test_lock_leaves_torch_and_cuda_to_the_machine() -> None:
    heavy = [r.name for r, _ in lock_entries() if re.match(r"torch$|nvidia|triton|cuda", r.name)]
    assert heavy == []


def test_lock_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def test_lock_carries_what_torch_needs_beside_itself() -> None:
    """Read from the installed torch, so that tools/lock/torch-light.in cannot fall behind it unnoticed."""
    from importlib.metadata import requires

    pinned = {canonicalize_name(r.name) for r, _ in lock_entries()}
    for line in requires("torch") or []:
        requirement = Requirement(line)
        if requirement.marker is None and not re.match(r"nvidia|triton|cuda", requirement.name):
            assert canonicalize_name(requirement.name) in pinned, f"torch needs {requirement}"


def test_torch_step_of_the_makefile_fits_the_declared_range() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^TORCH_SPEC \?= torch==(\S+)$", makefile, re.M)
    assert found is not None
    assert Version(found.group(1)) in pyproject_ranges()["torch"]


@pytest.mark.parametrize(
    "target", ["help", "book", "test", "lock", "bench", "format", "lint", "notebooks", "clean"]
)
def test_make_help_can_list_the_target(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## \S", makefile, re.M), (
        f"make {target} is missing or has no line of help"
    )
