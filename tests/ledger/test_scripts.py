"""Scripts travel together, survive being forgotten by the server, and read as the house style has it."""

from __future__ import annotations

import ast
import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster

import gateway.ledger
from gateway.domain import Bucket, operation_id
from gateway.ledger import outcomes as o
from gateway.ledger.records import BUCKETS
from gateway.ledger.scripts import arguments_of, load
from tests.ledger.world import World

LUA = Path(gateway.ledger.__file__).parent / "lua"
SCRIPTS = sorted(LUA.glob("*.lua"))
LIBRARIES = sorted((LUA / "lib").glob("*.lua"))
LINES_MAX = 85
LEDGER = LUA.parent
LINE = re.compile(r"(?m)^#!.*$|--[^\n]*")
INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
HEADER = re.compile(
    r"#!lua(?: flags=(?:allow-oom|no-writes))?\n"
    r"-- [A-Z][^\n]+\n(?:-- [^\n]+\n)*"
    r"--\n"
    r"-- KEYS\[1\]  \w+\n"
    r"-- Returns  [^\n]+\n(?:--          [^\n]+\n)*"
    r"-- Writes   [^\n]+\n(?:--          [^\n]+\n)*"
    r"(?:--- @include [^\n]+\n)*"
    r"(?:local\s[^=]+= unpack\(ARGV\)[^\n]*\n)?"
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
    assert header, "the header is purpose, KEYS, Returns, Writes"
    body = text[header.end() :].splitlines()
    assert len(body) <= LINES_MAX


@pytest.mark.parametrize("path", [*SCRIPTS, *LIBRARIES], ids=lambda path: path.stem)
def test_no_line_of_lua_is_longer_than_one_of_python_may_be(path: Path) -> None:
    assert all(len(line) <= 120 for line in path.read_text().splitlines())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_argument_is_named_once_by_the_first_line_of_code(path: Path) -> None:
    """No slot has a number, and nothing else has an argument's name: it means one thing in all of a script."""
    head, taken, body = LINE.sub("", path.read_text()).rpartition("= unpack(ARGV)")
    names = arguments_of(path.read_text())
    assert "ARGV" not in head + body
    assert bool(names) == bool(taken)
    if not names:
        return
    assert "".join(head.split()) == "".join(("local", *",".join(names)))
    assert len(set(names)) == len(names)
    assert not {library.stem for library in LIBRARIES} & set(names)
    code = re.sub(r'"[^"\n]*"', "", body)
    assert set(names) <= set(re.findall(r"\w+", code)), "an argument that is not used"
    named = re.findall(r"\blocal (?!function)([\w, ]+)|\bfor ([\w, ]+) (?:in|=)|function [\w.]*\(([\w, ]*)\)", code)
    again = {name for some in named for name in re.findall(r"\w+", " ".join(some))}
    assert not again & set(names)


def test_python_names_the_arguments_of_every_script() -> None:
    """Their order is the script's own: `Script.in_order` takes it from there, and refuses another set of names."""
    called: dict[str, list[frozenset[str]]] = defaultdict(list)
    for path in LEDGER.rglob("*.py"):
        for name, names in calls_in(ast.parse(path.read_text())):
            called[name].append(names)
    assert set(called) == {path.stem for path in SCRIPTS}
    for name, found in called.items():
        assert set(found) == {frozenset(load(name).arguments)}, name


def calls_in(tree: ast.AST) -> Iterator[tuple[str, frozenset[str]]]:
    """The scripts that Python runs, by the names of the arguments that each gets."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        words = [word for word in call.args[:2] if isinstance(word, ast.Constant)]
        given = call.args[0] if call.args else None
        runs = ast.unparse(call.func).rpartition(".")[2] in {"run", "_operate", "_everywhere"}
        if not words or not (runs or ast.unparse(given or call) == "self.run"):
            continue
        names = {keyword.arg for keyword in call.keywords if keyword.arg}
        extra = {"operation"} if ast.unparse(call.func).endswith("_operate") else set()
        yield str(words[0].value), frozenset(names | extra)


def test_a_script_refuses_other_arguments_than_its_own() -> None:
    script = load("renew")
    given = {"lease_ms": 3, "attempt": 1, "dispatch_ms": True, "progress": None}
    assert script.in_order(given) == [1, "", 3, 1]
    for wrong in ({**given, "more": 1}, {"attempt": 1}, {**dict(list(given.items())[1:]), "lease": 3}):
        with pytest.raises(TypeError, match=r"^renew\.lua takes attempt, progress, lease_ms, dispatch_ms"):
            script.in_order(wrong)


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


def test_buckets_are_listed_once_in_the_order_in_which_they_burn() -> None:
    assert list(BUCKETS.values()) == list(Bucket) == [Bucket.FREE, Bucket.SUBSCRIPTION, Bucket.TOP_UP]
    assert "".join(BUCKETS) == "fst"  # what is stored
    everywhere = "\n".join(path.read_text() for path in [*SCRIPTS, *LIBRARIES] if path.stem != "buckets")
    assert not re.search(r'"f"\W+"s"\W+"t"|\bf = [^,\n]*, s = ', everywhere)


async def test_redis_takes_every_script(world: World) -> None:
    """Its compiler has limits, too: 200 locals in one function."""
    for path in SCRIPTS:
        await world.redis.execute_command("SCRIPT LOAD", load(path.stem).source)
