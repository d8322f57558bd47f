from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.links import dead_links

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel that `pip install .` would make of this tree, opened."""
    made = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(made), str(_ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = made.glob("farebox-*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_the_wheel_holds_every_file_that_the_programs_read(wheel: zipfile.ZipFile) -> None:
    packed = set(wheel.namelist())
    kinds = ("*.py", "*.lua", "*.html", "*.css", "*.js", "*.svg", "*.ttf", "py.typed")
    wanted = {
        str(path.relative_to(_ROOT))
        for package in ("gateway", "workers")
        for kind in kinds
        for path in (_ROOT / package).rglob(kind)
    }
    assert "gateway/ledger/lua/reserve.lua" in wanted
    assert "gateway/py.typed" in wanted
    assert wanted - packed == set()


def test_the_wheel_brings_the_default_rate_card(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("gateway/pricing.toml") == (_ROOT / "pricing.toml").read_bytes()


def test_the_pages_in_the_wheel_link_to_what_is_in_it(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """`running.md` linked to a Procfile, `upgrading.md` to a changelog, and a wheel had neither."""
    wheel.extractall(tmp_path)
    manual = tmp_path / "gateway" / "manual"
    pages = sorted(tmp_path.rglob("*.md"))
    assert {manual / "README.md", manual / "docs" / "running.md", manual / "gateway" / "pricing" / "README.md"} <= {
        *pages
    }
    assert list(dead_links(tmp_path, pages)) == []


def test_the_wheel_holds_nothing_but_the_programs(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway", "workers"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or "/test" in name]


def test_the_wheel_has_the_command_and_the_workers_commands(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    points = wheel.read(path).decode()
    assert "farebox = gateway.__main__:main" in points
    assert "worker = workers.commands:worker" in points
    assert "caretaker = workers.commands:caretaker" in points


def test_the_wheel_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
