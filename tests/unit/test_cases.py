"""Many cases in one test fail as one test each would."""

from __future__ import annotations

import inspect

import pytest

from tests.cases import cases


async def test_the_case_that_fails_is_named_and_each_has_the_fixtures() -> None:
    tried = []

    @cases(("number", "wanted"), [(1, True), (2, False), (3, True)])
    async def checked(fixture: str, number: int, *, wanted: bool) -> None:
        tried.append((fixture, number))
        assert wanted

    assert [*inspect.signature(checked).parameters] == ["fixture"]
    with pytest.raises(AssertionError) as failed:
        await checked(fixture="one")
    assert failed.value.__notes__ == ["in the case {'number': 2, 'wanted': False}"]
    assert tried == [("one", 1), ("one", 2)]


def test_no_cases_are_no_test() -> None:
    with pytest.raises(ValueError, match="no cases"):
        cases("number", [])
