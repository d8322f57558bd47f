"""The notation of docs/credits.md: each line does something to a real gateway and says what is then so.

A line is `command; command → claim, claim`. A word that no pattern takes is an error, so that no example can pass
unread.
"""

from __future__ import annotations

import re

from tests.docs.claims import CLAIMS, journal_says
from tests.docs.commands import COMMANDS
from tests.docs.example import Example, Language


async def run(example: Example, line: str) -> None:
    """Do what a line says and check what it claims."""
    commands, arrow, claims = line.partition("→")
    assert arrow, f"no arrow: {line}"
    for command in commands.split(";"):
        await _take(example, COMMANDS, command.strip())
    if claims.strip().startswith("journal:"):
        await journal_says(example, claims.strip().removeprefix("journal: "))
        return
    for claim in re.split(r",(?!\d)", claims):  # a comma before a digit is inside a number
        await _take(example, CLAIMS, claim.strip())


async def _take(example: Example, language: Language, phrase: str) -> None:
    for pattern, does in language.items():
        match = re.fullmatch(pattern, phrase)
        if match:
            await does(example, *match.groups())
            return
    raise AssertionError(f"nothing in this notation reads {phrase!r}")
