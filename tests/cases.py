"""Many cases in one test, where each is quick and what they need is not: a gateway is opened once for all of them.

Also where nothing is needed: a test takes 10 ms of CPU to collect, schedule and report, and many a case less than one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Test = Callable[..., Any]


def cases(names: str | Sequence[str], values: Iterable[Any]) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, but one test: for cases that leave nothing behind which another could see.

    The first case that fails ends the test, and is named below its error.
    """
    named = [names] if isinstance(names, str) else [*names]
    given = [dict(zip(named, [value] if isinstance(names, str) else value, strict=True)) for value in values]
    if not given:
        raise ValueError("a test of no cases cannot fail")

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def of_all(**fixtures: Any) -> None:
            for case in given:
                with _named(case):
                    test(**fixtures, **case)

        @functools.wraps(test)
        async def of_all_awaited(**fixtures: Any) -> None:
            for case in given:
                with _named(case):
                    await test(**fixtures, **case)

        made = of_all_awaited if inspect.iscoroutinefunction(test) else of_all
        signature = inspect.signature(test)
        asked = [parameter for name, parameter in signature.parameters.items() if name not in named]
        made.__dict__["__signature__"] = signature.replace(parameters=asked)
        return made

    return decorate


@contextmanager
def _named(case: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case {case}")
        raise
