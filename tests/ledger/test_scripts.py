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
from gateway.ledger.libraries import taken_apart
from gateway.ledger.scripts import load
from tests.ledger.lua_globals import DUMP, globals_of
from tests.ledger.world import World

LUA = Path(gateway.ledger.__file__).parent / "lua"
SCRIPTS = sorted(LUA.glob("*.lua"))
LIBRARIES = sorted((LUA / "lib").glob("*.lua"))
LINES_MAX = 85
LUA_ITSELF = {"error", "ipairs", "math", "next", "pairs", "string", "table", "tonumber", "type", "unpack"}
OF_REDIS = {"ARGV", "KEYS", "cjson", "redis"}
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
            assert re.match(r"KEYS\[1\]|keys\.|key$|key\b|memory$", call.strip()), f"{path.stem}: {line}"
        assert "{fb" not in code


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_uses_it_includes_once(path: Path) -> None:
    source = load(path.stem).source
    assert "@include" not in source
    included = re.findall(r"^local (\w+) = \{(?:\w+ = 0(?:, )?)*\}$", source, re.MULTILINE)
    assert len(included) == len(set(included))
    own = re.sub(r'"[^"\n]*"|--[^\n]*', "", path.read_text())
    used = {library.stem for library in LIBRARIES if re.search(rf"(?<![\w.]){library.stem}\.\w", own)}
    assert used <= set(included)


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.stem)
def test_a_library_is_laid_out_so_that_it_can_be_taken_apart(path: Path) -> None:
    """Else a script would have all of a function that it does not reach, or half of one that it does."""
    pieces = taken_apart(f"lib/{path.stem}")
    assert "".join(piece.text for piece in pieces) == path.read_text()
    for piece in pieces:
        begun = re.findall(r"^(?:local )?function ([\w.]+)", piece.text, re.MULTILINE)
        assert [name.rpartition(" ")[2] for name in [piece.name] if name] == begun


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_every_function_that_it_names(path: Path) -> None:
    source = re.sub(r"--[^\n]*", "", load(path.stem).source)
    functions = {piece.name for library in LIBRARIES for piece in taken_apart(f"lib/{library.stem}") if piece.name}
    named = set(re.findall(r"\b\w+\.\w+\b", source)) & functions
    assert named <= set(re.findall(r"^function ([\w.]+)", source, re.MULTILINE))


def test_a_script_has_of_its_libraries_only_what_it_may_reach() -> None:
    """Each function is made anew in each run; a read of a generation made eighteen, and called one."""
    assert re.findall(r"^ *(?:local )?function ([\w.]+)", load("generation").source, re.MULTILINE) == ["keys.account"]
    reserve = load("reserve").source
    assert "function grants.allocate" in reserve
    assert "function grants.close" not in reserve


async def test_a_script_names_nothing_that_it_cannot_see(world: World) -> None:
    """A library that is made only when it is needed is a local of its place: to what stands below it, it is not there.

    It would be a global that Redis does not know, which only the run that comes that way would find out.
    """
    for path in SCRIPTS:
        source = load(path.stem).source.partition("\n")[2]
        bytecode = await world.redis.eval(DUMP, 1, "{fb00}:nothing", source)
        assert globals_of(bytecode) <= LUA_ITSELF | OF_REDIS, path.stem
    strange = await world.redis.eval(
        DUMP, 1, "{fb00}:nothing", "if KEYS then local lib = {} end return function() return lib end"
    )
    assert globals_of(strange) == {"KEYS", "lib"}
