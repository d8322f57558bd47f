"""The global names that a Lua text reads or sets, as the compiler of Redis sees them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

DUMP = 'return string.dump(assert(loadstring(ARGV[1], "@script")))'
"""Run with a text as ARGV[1], Redis answers its bytecode."""

_HEADER_BYTES = 12
_GETGLOBAL, _SETGLOBAL = 5, 7
_OPCODE_BITS, _OPERAND_SHIFT = 0x3F, 14
_CONSTANTS = {0: "", 1: "B", 3: "d"}  # nil, boolean, number; 4 is a string


def globals_of(bytecode: bytes) -> set[str]:
    """Names of globals in a chunk of Lua 5.1 and in all its functions."""
    return set(_Reader(bytecode, _HEADER_BYTES).function())


class _Reader:
    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def _read(self, form: str) -> tuple[int, ...]:
        form = f"={form}"
        found = struct.unpack_from(form, self._data, self._position)
        self._position += struct.calcsize(form)
        return found

    def _count(self) -> int:
        return self._read("i")[0]

    def _string(self) -> str:
        length = self._read("Q")[0]
        text = self._data[self._position : self._position + length]
        self._position += length
        return text[:-1].decode()

    def _constant(self) -> str:
        kind = self._read("B")[0]
        if kind not in _CONSTANTS:
            return self._string()
        self._read(_CONSTANTS[kind])
        return ""

    def function(self) -> Iterator[str]:
        """Lua's own order: source, lines and sizes; instructions; constants; functions; what is for debuggers."""
        self._string()
        self._read("ii4B")
        instructions = self._read(f"{self._count()}I")
        constants = [self._constant() for _ in range(self._count())]
        for instruction in instructions:
            if instruction & _OPCODE_BITS in {_GETGLOBAL, _SETGLOBAL}:
                yield constants[instruction >> _OPERAND_SHIFT]
        for _ in range(self._count()):
            yield from self.function()
        self._read(f"{self._count()}i")
        for _ in range(self._count()):
            self._string()
            self._read("ii")
        for _ in range(self._count()):
            self._string()
