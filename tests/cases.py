"""Many cases in one test, where each is quick and what they need is not: a gateway is opened once for all of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

Test = Callable[..., Awaitable[None]]


def cases(names: str | Sequence[str], values: Iterable[Any]) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, but one test: for cases that leave nothing behind which another could see.

    The first case that fails ends the test, and is named below its error.
    """
    named = [names] if isinstance(names, str) else [*names]
    given = [dict(zip(named, [value] if isinstance(names, str) else value, strict=True)) for value in values]

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        async def of_all(**fixtures: Any) -> None:
            for case in given:
                try:
                    await test(**fixtures, **case)
                except BaseException as error:
                    error.add_note(f"in the case {case}")
                    raise

        signature = inspect.signature(test)
        asked = [parameter for name, parameter in signature.parameters.items() if name not in named]
        of_all.__dict__["__signature__"] = signature.replace(parameters=asked)
        return of_all

    return decorate
