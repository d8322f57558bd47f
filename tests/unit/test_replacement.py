"""Replacing several gateways one by one: in what order, and what a version that does not start stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli import several_gateways
from gateway.cli.several_gateways import gateway_programs
from gateway.local.supervisor import Program
from gateway.settings import Settings
from tests.until import until


class Notebook:
    """A supervisor that only notes what it is told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.started: list[Program] = []

    def start(self, program: Program) -> None:
        self.done.append(f"start {program.name}")
        self.started.append(program)

    async def end(self, name: str) -> None:
        self.done.append(f"end {name}")


def replacement(tmp_path: Path) -> tuple[several_gateways.Replacement, Notebook, list[str]]:
    notebook, said = Notebook(), list[str]()
    programs = gateway_programs(("farebox", "gateway"), 2)
    made = several_gateways.Replacement(
        notebook,  # type: ignore[arg-type]  # all of it that is used
        programs,
        Settings(data=tmp_path),
        lambda _, line: said.append(line),
    )
    return made, notebook, said


async def test_the_next_is_ended_when_the_new_one_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made, notebook, said = replacement(tmp_path)
    serving: list[str] = []

    async def is_served(_: Settings, name: str) -> bool:
        serving.append(name)
        return serving.count(name) > 1

    monkeypatch.setattr(several_gateways, "is_served", is_served)
    made.begin()
    await until(lambda: "all processes are replaced" in said)
    assert notebook.done == ["end gateway-2", "start gateway-2", "end gateway-1", "start gateway-1"]
    assert serving == ["gateway-2", "gateway-2", "gateway-1", "gateway-1"]
    assert not any(program.vital for program in notebook.started)  # what one refuses does not end the others
    await made.end()


async def test_a_version_that_does_not_start_leaves_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made, notebook, said = replacement(tmp_path)

    async def never(_: Settings, name: str) -> bool:
        del name
        return False

    monkeypatch.setattr(several_gateways, "is_served", never)
    monkeypatch.setattr(several_gateways, "_START_SECONDS", 0.01)
    made.begin()
    await until(lambda: any("the others are not replaced" in line for line in said))
    assert notebook.done == ["end gateway-2", "start gateway-2"]
    await made.end()


async def test_what_is_installed_while_others_are_replaced_replaces_all_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second SIGHUP was dropped: half of the processes stayed at the version in between, and nothing said so."""
    made, notebook, said = replacement(tmp_path)

    async def is_served(_: Settings, name: str) -> bool:
        if name == "gateway-1" and len(notebook.done) == 4:
            for _again in range(2):  # however often it is asked meanwhile, once is enough
                made.begin()
        return True

    monkeypatch.setattr(several_gateways, "is_served", is_served)
    made.begin()
    await until(lambda: said.count("all processes are replaced") == 2)
    once = ["end gateway-2", "start gateway-2", "end gateway-1", "start gateway-1"]
    assert notebook.done == once * 2
    await made.end()
    assert notebook.done == once * 2
