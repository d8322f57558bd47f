"""Scripts travel together, survive being forgotten by the server, and read as the house style has it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster

import gateway.ledger
from gateway.domain import operation_id
from gateway.ledger import outcomes as o
from gateway.ledger.scripts import load
from tests.ledger.world import World

LUA = Path(gateway.ledger.__file__).parent / "lua"
SCRIPTS = sorted(LUA.glob("*.lua"))
LIBRARIES = sorted((LUA / "lib").glob("*.lua"))
LINES_MAX = 85
INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
HEADER = re.compile(
    r"#!lua(?: flags=(?:allow-oom|no-writes))?\n"
    r"-- [A-Z][^\n]+\n(?:-- [^\n]+\n)*"
    r"--\n"
    r"-- KEYS\[1\]  \w+\n"
    r"(?:-- ARGV     1 [^\n]+\n(?:--          [^\n]+\n)*)?"
    r"-- Returns  [^\n]+\n(?:--          [^\n]+\n)*"
    r"-- Writes   [^\n]+\n(?:--          [^\n]+\n)*"
)


async def forget_scripts(world: World) -> None:
    everywhere = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(world.redis, RedisCluster) else {}
    await world.redis.execute_command("SCRIPT FLUSH", **everywhere)


async def test_a_script_that_the_server_forgot_is_sent_again(world: World) -> None:
    await world.account()
    await forget_scripts(world)
    assert isinstance(await world.reserve(), o.Reserved)
    await forget_scripts(world)
    assert (await world.look()).in_work == {"image": 1}


async def test_forgotten_scripts_in_one_batch_each_get_their_own_answer(world: World) -> None:
    names = [f"account-{index}" for index in range(12)]
    for name in names:
        await world.account(name)
    generations = [await world.spend(10_000, name) for name in names]
    await forget_scripts(world)
    begun = [
        world.ledger.begin(generation=generation, attempt=1, operation=operation_id()) for generation in generations
    ]
    read = [world.ledger.account(account=name) for name in [*names, "nobody"]]
    answers = await asyncio.gather(*begun, *read)
    assert [getattr(answer, "generation").id for answer in answers[:12]] == generations  # noqa: B009 - of a union
    assert [getattr(answer, "id", None) for answer in answers[12:]] == [*names, None]


async def test_one_failing_script_of_a_batch_fails_alone(world: World) -> None:
    await world.account()
    generation = await world.running()
    answers = await asyncio.gather(
        world.ledger.park(generation=generation, attempt=1, operation="x"),
        world.ledger.renew(generation=generation, attempt=1),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == ["LedgerBroken", "Renewed"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_has_the_fixed_header_and_fits_a_screen(path: Path) -> None:
    text = path.read_text()
    header = HEADER.match(text)
    assert header, "the header is purpose, KEYS, ARGV, Returns, Writes"
    body = text[header.end() :].splitlines()
    assert len(body) <= LINES_MAX


@pytest.mark.parametrize("path", [*SCRIPTS, *LIBRARIES], ids=lambda path: path.stem)
def test_no_line_of_lua_is_longer_than_one_of_python_may_be(path: Path) -> None:
    assert all(len(line) <= 120 for line in path.read_text().splitlines())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_argument_is_named_in_the_header_and_used(path: Path) -> None:
    text = path.read_text()
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", text)}
    head = text[: text.index("-- Returns")]
    named = {int(number) for number in re.findall(r"(?:^|[ ,])(\d+) [a-z\"]", head.partition("ARGV")[2])}
    if "unpack(ARGV" in text:
        return
    assert used == named


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_that_says_it_writes_nothing_cannot(path: Path) -> None:
    text = path.read_text()
    says_nothing = "-- Writes   nothing" in text
    assert says_nothing == text.startswith("#!lua flags=no-writes\n")


@pytest.mark.parametrize("path", [*SCRIPTS, *LIBRARIES], ids=lambda path: path.stem)
def test_amounts_are_never_written_by_tostring(path: Path) -> None:
    """`tostring(1e14)` is "1e+14"."""
    code = "\n".join(line.partition("--")[0] for line in path.read_text().splitlines())
    assert "tostring" not in code
    assert not re.search(r"\b(?:os|io|math\.random)\.", code)


@pytest.mark.parametrize("path", [*SCRIPTS, *LIBRARIES], ids=lambda path: path.stem)
def test_keys_are_spelled_in_one_place(path: Path) -> None:
    if path.stem in {"keys", "webhook_keys"}:
        return
    for line in path.read_text().splitlines():
        code = line.partition("--")[0]
        for call in re.findall(r'redis\.call\(\s*"[A-Z]+",\s*([^,)]+)', code):
            assert re.match(r"KEYS\[1\]|(?:webhook_)?keys\.|\w*key\b|memory$", call.strip()), f"{path.stem}: {line}"
        assert "{fb" not in code


def libraries_in(text: str) -> set[str]:
    """The libraries that a text calls: `grants.find(…)`, `make_outbox()`."""
    code = re.sub(r'"[^"\n]*"|--[^\n]*', "", text)
    return {path.stem for path in LIBRARIES if re.search(rf"(?<![\w.]){path.stem}\.\w|\bmake_{path.stem}\(", code)}


def included_in(text: str) -> list[str]:
    """The libraries that a text includes."""
    return [name for include in INCLUDE.findall(text) for name in re.findall(r'"lib/(\w+)"', include)]


@pytest.mark.parametrize("path", [*SCRIPTS, *LIBRARIES], ids=lambda path: path.stem)
def test_a_file_includes_just_what_it_calls(path: Path) -> None:
    """What it calls and does not include would be a global that Redis does not know, or there by luck."""
    text = path.read_text()
    own = {path.stem} if path in LIBRARIES else set()
    assert sorted(included_in(text)) == sorted(libraries_in(text) - own)


@pytest.mark.parametrize("path", [*SCRIPTS, *LIBRARIES], ids=lambda path: path.stem)
def test_includes_stand_at_the_top(path: Path) -> None:
    """Two scripts hardly ever end a generation, and include that where they do: it is seen to the end of its block."""
    lines = path.read_text().splitlines()
    code = [number for number, line in enumerate(lines) if line and not line.startswith(("--", "#!"))]
    below = [number for number, line in enumerate(lines) if line.startswith("--- @include") and number > code[0]]
    if path.stem in {"begin", "renew"} and path in SCRIPTS:
        (number,) = below
        assert included_in(lines[number]) == ["ending"]
        assert lines[number + 1].startswith("  return ending.run(")
        assert lines[number + 2] == "end"
    else:
        assert not below


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_each_library_once_and_above_what_calls_it(path: Path) -> None:
    source = re.sub(r'"[^"\n]*"|--[^\n]*', "", load(path.stem).source)
    names = "|".join(library.stem for library in LIBRARIES)
    made = re.findall(rf"^local (?:({names}) = {{|function make_({names})\()", source, re.MULTILINE)
    included = [table or function for table, function in made]
    assert len(included) == len(set(included))
    assert "@include" not in load(path.stem).source
    for name in libraries_in(source):
        called = re.search(rf"(?<![\w.]){name}\.\w|\bmake_{name}\(", source)
        assert called
        assert re.search(rf"^local (?:{name} = {{|function make_{name}\()", source[: called.end()], re.MULTILINE), name


async def test_redis_takes_every_script(world: World) -> None:
    """Its compiler has limits, too: 200 locals in one function."""
    for path in SCRIPTS:
        await world.redis.execute_command("SCRIPT LOAD", load(path.stem).source)
