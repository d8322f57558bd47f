"""Lua scripts: files with plain includes, called by digest, with named arguments."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from gateway.redis_link.batches import Command

Argument = str | int

_INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
_ARGUMENTS = re.compile(r"^local\s([\w\s,]+)= unpack\(ARGV\)", re.MULTILINE)
_REMARK = re.compile(r"--[^\n]*")
# A function of a library, from the first column to its `end` there, with nothing else in the first column.
_FUNCTION = re.compile(r"^(?:local )?function ([\w.]+)\([^\n]*(?:\bend|(?:\n(?: [^\n]*)?)*\nend)\n", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_LIBRARY = re.compile(r"^local (\w+) = \{", re.MULTILINE)
_EMPTY = re.compile(r"^local (\w+) = \{\}$", re.MULTILINE)
_RARELY = "--- @rarely\n"
_RARE = re.compile(r"^--- @rarely (\w+)\n(.*?)^--- @end\n", re.MULTILINE | re.DOTALL)
_RARE_LEAST = 3  # functions: to create fewer when they are needed costs as much as to create them
_SOURCES: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Script:
    """A composed script, its digest for EVALSHA, and its argument names, from its first statement."""

    name: str
    source: str
    digest: str
    arguments: tuple[str, ...]
    known: frozenset[str]

    def in_order(self, given: Mapping[str, Argument | None]) -> list[Argument]:
        """The arguments in the script's order. None is sent as "", True and False as 1 and 0."""
        if given.keys() != self.known:
            msg = f"{self.name}.lua takes {', '.join(self.arguments)}; it was given {', '.join(given)}"
            raise TypeError(msg)
        values = [given[name] for name in self.arguments]
        return ["" if value is None else int(value) if isinstance(value, bool) else value for value in values]


class ScriptFolder:
    """The scripts in the folder `lua` of a package; `lua/lib` has the libraries they include."""

    def __init__(self, package: str) -> None:
        self._lua = files(package).joinpath("lua")
        self._loaded: dict[str, Script] = {}

    def load(self, name: str) -> Script:
        """`lua/<name>.lua` with its libraries below its head comment."""
        script = self._loaded.get(name)
        if script is None:
            text = self.text(name)
            source = self.compose(text)
            arguments = arguments_of(text)
            digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # how Redis names scripts
            script = self._loaded[name] = Script(name, source, digest, arguments, frozenset(arguments))
        return script

    def text(self, name: str) -> str:
        """The source of a file: `reserve`, `lib/buckets`."""
        return self._lua.joinpath(f"{name}.lua").read_text()

    def compose(self, text: str) -> str:
        """A script with its includes replaced by the libraries: each once, after those it includes itself.

        Of their functions it gets those that it can reach; those below `--- @rarely`, when one of them is needed.
        """
        included: set[str] = set()

        def libraries(include: re.Match[str]) -> str:
            names: list[str] = re.findall(r'"([^"]+)"', include[1])
            return "\n".join(library(name) for name in names if name not in included)

        def library(name: str) -> str:
            included.add(name)
            return _INCLUDE.sub(libraries, _with_ends(self.text(name)))

        return _with_room(_RARE.sub(_created_when_needed, _reachable(_INCLUDE.sub(libraries, text))))

    def command(self, name: str, keys: Sequence[str], /, **arguments: Argument | None) -> Command:
        """The command that runs a script. Arguments are named; the script defines their order."""
        script = self.load(name)
        _SOURCES[script.digest] = script.source
        return ("EVALSHA", script.digest, len(keys), *keys, *script.in_order(arguments))


def arguments_of(text: str) -> tuple[str, ...]:
    """The names of a script's arguments, in order: `local attempt, operation = unpack(ARGV)`."""
    named = _ARGUMENTS.search(_REMARK.sub("", text))
    return tuple(re.findall(r"\w+", named[1])) if named else ()


def _reachable(source: str) -> str:
    """Without functions that are named nowhere: Lua makes each anew in every run, for as much as reading a field.

    Whatever reads like a function's name counts as a call, so that one too many may stay, but none is missing.
    """
    functions: defaultdict[str, list[str]] = defaultdict(list)
    for function in _FUNCTION.finditer(source):
        functions[function[1]].append(function[0])
    open_ = set(_NAME.findall(_FUNCTION.sub("", source))) & functions.keys()
    reached: set[str] = set()
    while open_:
        name = open_.pop()
        reached.add(name)
        open_ |= (set(_NAME.findall("".join(functions[name]))) & functions.keys()) - reached
    return _FUNCTION.sub(lambda function: function[0] if function[1] in reached else "", source)


def _with_ends(library: str) -> str:
    """A library whose rarely needed part, if it has one, names the library's table, and has an end."""
    often, mark, rarely = library.partition(_RARELY)
    return f"{often}{mark[:-1]} {_LIBRARY.findall(often)[-1]}\n{rarely}--- @end\n" if mark else library


def _created_when_needed(part: re.Match[str]) -> str:
    """Functions that the first use of one of them creates: the library's table does not have them, and asks."""
    table, functions = part.groups()
    if len(_FUNCTION.findall(functions)) < _RARE_LEAST:
        return functions
    return (
        f"setmetatable({table}, {{__index = function(_, name)\nsetmetatable({table}, nil)\n"
        f"{functions}return {table}[name]\nend}})\n"
    )


def _with_room(source: str) -> str:
    """Tables of libraries have room for their functions: to grow, Lua allocates them anew at each power of two."""

    def table(empty: re.Match[str]) -> str:
        names = re.findall(rf"^function {empty[1]}\.(\w+)", source, re.MULTILINE)
        return f"local {empty[1]} = {{{', '.join(f'{name} = nil' for name in names)}}}"

    return _EMPTY.sub(table, source)


def sent_whole(command: Command) -> Command:
    """The same command with the script's source, for a server that does not know it."""
    _, digest, *words = command
    return ("EVAL", _SOURCES[str(digest)], *words)
