"""Finding one's way: every module has a row in gateway/README.md and a place in the contract."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "gateway" / "README.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
CONTAINERS = ("gateway", "gateway.api")


def modules_in(container: str) -> set[str]:
    """The modules and packages right below a package."""
    folder = ROOT / container.replace(".", "/")
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_module_has_one_place_in_the_import_contract(container: str) -> None:
    (contract,) = [one for one in CONTRACTS if one.get("containers") == [container]]
    placed = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    assert contract["exhaustive"] is True
    assert "exhaustive_ignores" not in contract
    assert sorted(placed) == sorted(modules_in(container))


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_module_has_one_row_in_the_readme(container: str) -> None:
    below = container.removeprefix("gateway").removeprefix(".").replace(".", "/")
    prefix = f"{below}/" if below else ""
    shown = [
        name
        for line in README.splitlines()
        for cell in re.findall(r"^\| (.*?) \|", line)
        for name in re.findall(rf"`{prefix}([a-z_]+)(?:\.py|/)`", cell)
    ]
    data = {"console", "workers"} if container == "gateway" else set()  # pages, and a package of its own
    assert sorted(set(shown) - data) == sorted(modules_in(container))
    assert len(shown) == len(set(shown)), "each module once"


def test_every_file_that_the_readme_names_is_there() -> None:
    """A name without a folder is beside the file named before it, in the same row."""
    for line in README.splitlines():
        folder = ROOT / "gateway"
        for name in re.findall(r"`([\w/]+\.(?:py|lua|toml))`", line):
            path = next(
                (found for base in (ROOT / "gateway", ROOT, folder) if (found := base / name).is_file()),
                ROOT / "gateway" / "ledger" / name,
            )
            assert path.is_file(), f"{name}, in: {line}"
            folder = path.parent


def test_every_module_of_the_workers_has_one_place_in_the_contract_and_one_row_in_the_readme() -> None:
    """`care`, `webhooks` and `providers` have one place each; what an attempt is made of has its own order."""
    (contract,) = [one for one in CONTRACTS if one["name"].startswith("The workers' modules")]
    placed = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    modules = modules_in("workers") - {"attempts"} | {f"attempts.{name}" for name in modules_in("workers.attempts")}
    assert sorted(placed) == sorted(f"workers.{name}" for name in modules)
    shown = [
        name.removesuffix(".py").rstrip("/").replace("/", ".")
        for line in (ROOT / "workers" / "README.md").read_text().splitlines()
        for cell in re.findall(r"^\| (.*?) \|", line)
        for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", cell)
    ]
    assert len(shown) == len(set(shown)), "each module once"
    assert modules - set(shown) == set()
