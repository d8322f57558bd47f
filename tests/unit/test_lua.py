"""Every Lua script and library, the ledger's and the queue's, reads as the house style has it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import gateway
from gateway.ledger.scripts import SCRIPTS as LEDGER_SCRIPTS
from gateway.queue.queue import SCRIPTS as QUEUE_SCRIPTS
from gateway.redis_link.connections import connect_queue
from gateway.redis_link.scripts import ScriptFolder, arguments_of
from tests.cases import cases

LINES_MAX = 85
LINE = re.compile(r"(?m)^#!.*$|--[^\n]*")
INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
HEADER = re.compile(
    r"#!lua(?: flags=(?:allow-oom|no-writes))?\n"
    r"-- [A-Z][^\n]+\n(?:-- [^\n]+\n)*"
    r"--\n"
    r"(?:-- KEYS(?:\[\d\]|   )  [^\n]+\n)+"
    r"-- Returns  [^\n]+\n(?:--          [^\n]+\n)*"
    r"-- Writes   [^\n]+\n(?:--          [^\n]+\n)*"
    r"(?:--- @include [^\n]+\n)*"
    r"(?:local\s[^=]+= unpack\(ARGV\)[^\n]*\n)?"
)
RUNS = {"run", "_run", "_operate", "_everywhere"}
"""The methods that are given a script's name and its arguments by name."""


@dataclass(frozen=True)
class Folder:
    """A package that has scripts."""

    package: Path
    loads: ScriptFolder

    @property
    def scripts(self) -> list[Path]:
        return sorted((self.package / "lua").glob("*.lua"))

    @property
    def libraries(self) -> list[Path]:
        return sorted((self.package / "lua/lib").glob("*.lua"))


GATEWAY = Path(gateway.__file__).parent
LEDGER, QUEUE = Folder(GATEWAY / "ledger", LEDGER_SCRIPTS), Folder(GATEWAY / "queue", QUEUE_SCRIPTS)
FOLDERS = (LEDGER, QUEUE)
SCRIPTS = [path for folder in FOLDERS for path in folder.scripts]
LIBRARIES = [path for folder in FOLDERS for path in folder.libraries]


def folder_of(path: Path) -> Folder:
    return next(folder for folder in FOLDERS if path.is_relative_to(folder.package))


@cases("path", SCRIPTS)
def test_every_script_has_the_fixed_header_and_fits_a_screen(path: Path) -> None:
    text = path.read_text()
    header = HEADER.match(text)
    assert header, "the header is purpose, KEYS, Returns, Writes"
    body = text[header.end() :].splitlines()
    assert len(body) <= LINES_MAX


@cases("path", [*SCRIPTS, *LIBRARIES])
def test_no_line_of_lua_is_longer_than_one_of_python_may_be(path: Path) -> None:
    assert all(len(line) <= 120 for line in path.read_text().splitlines())


@cases("path", SCRIPTS)
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
    assert not {library.stem for library in folder_of(path).libraries} & set(names)
    code = re.sub(r'"[^"\n]*"', "", body)
    assert set(names) <= set(re.findall(r"\w+", code)), "an argument that is not used"
    named = re.findall(r"\blocal (?!function)([\w, ]+)|\bfor ([\w, ]+) (?:in|=)|function [\w.]*\(([\w, ]*)\)", code)
    again = {name for some in named for name in re.findall(r"\w+", " ".join(some))}
    assert not again & set(names)


@pytest.mark.parametrize("folder", FOLDERS, ids=["ledger", "queue"])
def test_python_names_the_arguments_of_every_script(folder: Folder) -> None:
    """Their order is the script's own: `Script.in_order` takes it from there, and refuses another set of names."""
    called: dict[str, list[frozenset[str]]] = defaultdict(list)
    for path in folder.package.rglob("*.py"):
        for name, names in calls_in(ast.parse(path.read_text())):
            called[name].append(names)
    assert set(called) == {path.stem for path in folder.scripts}
    for name, found in called.items():
        assert set(found) == {frozenset(folder.loads.load(name).arguments)}, name


def calls_in(tree: ast.AST) -> Iterator[tuple[str, frozenset[str]]]:
    """The scripts that Python runs, by the names of the arguments that each gets, also with `**` from a function."""
    returned = dict(names_returned_in(tree))
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        words = [word for word in call.args[:2] if isinstance(word, ast.Constant)]
        given = call.args[0] if call.args else None
        called = ast.unparse(call.func)
        runs = called == "SCRIPTS.command" or called.rpartition(".")[2] in RUNS
        if not words or not (runs or ast.unparse(given or call) == "self.run"):
            continue
        names = {keyword.arg for keyword in call.keywords if keyword.arg}
        extra = {"operation"} if called.endswith("_operate") else set()
        spread = [word.value.func for word in call.keywords if word.arg is None and isinstance(word.value, ast.Call)]
        yield str(words[0].value), frozenset(names | extra).union(*(returned[ast.unparse(one)] for one in spread))


def names_returned_in(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """The functions that return a dict as it is written there, with its names."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and isinstance(function.body[-1], ast.Return):
            found = function.body[-1].value
            if isinstance(found, ast.Dict):
                yield function.name, {str(key.value) for key in found.keys if isinstance(key, ast.Constant)}


def test_a_script_refuses_other_arguments_than_its_own() -> None:
    script = LEDGER_SCRIPTS.load("renew")
    given = {"lease_ms": 3, "attempt": 1, "dispatch_ms": True, "progress": None}
    assert script.in_order(given) == [1, "", 3, 1]
    for wrong in ({**given, "more": 1}, {"attempt": 1}, {**dict(list(given.items())[1:]), "lease": 3}):
        with pytest.raises(TypeError, match=r"^renew\.lua takes attempt, progress, lease_ms, dispatch_ms"):
            script.in_order(wrong)


@cases("path", SCRIPTS)
def test_a_script_that_says_it_writes_nothing_cannot(path: Path) -> None:
    text = path.read_text()
    says_nothing = "-- Writes   nothing" in text
    assert says_nothing == text.startswith("#!lua flags=no-writes\n")


@cases("path", [*SCRIPTS, *LIBRARIES])
def test_amounts_are_never_written_by_tostring(path: Path) -> None:
    """`tostring(1e14)` is "1e+14"."""
    code = "\n".join(line.partition("--")[0] for line in path.read_text().splitlines())
    assert "tostring" not in code
    assert not re.search(r"\b(?:os|io|math\.random)\.", code)


@cases("path", [*SCRIPTS, *LIBRARIES])
def test_keys_are_spelled_in_one_place(path: Path) -> None:
    if path.stem in {"keys", "webhook_keys"}:
        return
    for line in path.read_text().splitlines():
        code = line.partition("--")[0]
        for call in re.findall(r'redis\.call\(\s*"[A-Z]+",\s*([^,)]+)', code):
            spelled = r"KEYS\[\w+\]|(?:webhook_)?keys\.|[\w.]*key\b|\w+_prefix \.\.|memory$"
            assert re.match(spelled, call.strip()), f"{path.stem}: {line}"
        assert "{fb" not in code


def libraries_in(text: str) -> set[str]:
    """The libraries that a text calls: `grants.find(…)`, `make_outbox()`."""
    code = re.sub(r'"[^"\n]*"|--[^\n]*', "", text)
    called = {*re.findall(r"(?<![\w.])(\w+)\.(?=\w)", code), *re.findall(r"\bmake_(\w+)\(", code)}
    return called & {path.stem for path in LIBRARIES}


def included_in(text: str) -> list[str]:
    """The libraries that a text includes."""
    return [name for include in INCLUDE.findall(text) for name in re.findall(r'"lib/(\w+)"', include)]


@cases("path", [*SCRIPTS, *LIBRARIES])
def test_a_file_includes_just_what_it_calls(path: Path) -> None:
    """What it calls and does not include would be a global that Redis does not know, or there by luck."""
    text = path.read_text()
    own = {path.stem} if path in LIBRARIES else set()
    assert sorted(included_in(text)) == sorted(libraries_in(text) - own)


@cases("path", [*SCRIPTS, *LIBRARIES])
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


@cases("path", SCRIPTS)
def test_a_script_has_each_library_once_and_above_what_calls_it(path: Path) -> None:
    source = re.sub(r'"[^"\n]*"|--[^\n]*', "", folder_of(path).loads.load(path.stem).source)
    names = "|".join(library.stem for library in LIBRARIES)
    made = re.findall(rf"^local (?:({names}) = {{|function make_({names})\()", source, re.MULTILINE)
    included = [table or function for table, function in made]
    assert len(included) == len(set(included))
    assert "@include" not in folder_of(path).loads.load(path.stem).source
    for name in libraries_in(source):
        called = re.search(rf"(?<![\w.]){name}\.\w|\bmake_{name}\(", source)
        assert called
        assert re.search(rf"^local (?:{name} = {{|function make_{name}\()", source[: called.end()], re.MULTILINE), name


def functions_in(text: str) -> set[str]:
    """The functions that a text has at its outermost level."""
    return set(re.findall(r"^(?:local )?function ([\w.]+)\(", text, re.MULTILINE))


@cases("path", SCRIPTS)
def test_a_script_has_every_function_that_it_names_and_no_other(path: Path) -> None:
    """Functions that a script cannot reach are left out when it is composed; one too many would fail at run time."""
    folder = folder_of(path)
    source = folder.loads.load(path.stem).source
    everything = {name for library in folder.libraries for name in functions_in(library.read_text())}
    code = re.sub(r'"[^"\n]*"|--[^\n]*', "", source)
    named = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*\.\w+", code)) & everything
    assert named <= functions_in(source)
    for function in functions_in(source) - functions_in(path.read_text()):
        assert len(re.findall(rf"(?<![\w.]){re.escape(function)}\b", source)) > 1, function


@cases("path", [path for path in LIBRARIES if "--- @rarely\n" in path.read_text()])
def test_what_is_rarely_needed_keeps_its_locals(path: Path) -> None:
    """They are in a function of their own when the script is composed: to the rest of the library, globals."""
    often, rarely = re.sub(r'"[^"\n]*"', "", path.read_text()).split("--- @rarely\n")
    own = set(re.findall(r"^local (?:function )?(\w+)", rarely, re.MULTILINE))
    assert not own & set(re.findall(r"(?<![\w.])\w+", LINE.sub("", often)))


@cases("path", [*SCRIPTS, *LIBRARIES])
def test_libraries_are_used_by_the_names_of_their_functions(path: Path) -> None:
    """By `library[name]` or `pairs(library)` a script would call what was left out of it."""
    text = path.read_text()
    names = "|".join([*included_in(text), path.stem])
    code = re.sub(r'"[^"\n]*"|--[^\n]*', "", text)
    assert not re.search(rf"(?<![\w.])(?:{names})\[|pairs\((?:{names})\)", code)


async def test_the_queues_redis_takes_every_script_of_the_queue(redis_url: str) -> None:
    redis = connect_queue(redis_url)
    for path in QUEUE.scripts:
        await redis.script_load(QUEUE_SCRIPTS.load(path.stem).source)
    await redis.aclose()
