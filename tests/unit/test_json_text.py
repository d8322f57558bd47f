"""JSON is written as before orjson: stored digests, and what clients parse, must not change with the writer."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.http.parse import canonical_json
from gateway.json_text import to_json
from gateway.queue.messages import ChangeNotice

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WHOLE = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
    )


@given(nested(WHOLE | st.floats(allow_nan=False, allow_infinity=False)))
def test_values_come_back_as_they_were(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert b": " not in to_json({"a": 1, "b": [1, 2]})


@given(nested(WHOLE | st.floats(allow_nan=False, allow_infinity=False)))
def test_the_canonical_form_is_that_of_pythons_encoder(value: Any) -> None:
    """Digests of idempotency keys are kept for a day: with another form, retries across an upgrade would be refused."""
    raw = json.dumps(value, ensure_ascii=False).encode()

    def plain(one: Any) -> Any:
        if isinstance(one, float) and one.is_integer():
            return int(Decimal(repr(one)))
        if isinstance(one, dict):
            return {name: plain(inner) for name, inner in one.items()}
        return [plain(inner) for inner in one] if isinstance(one, list) else one

    expected = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_json(raw, value) == expected


def test_a_lone_surrogate_is_refused_and_other_types_need_a_default() -> None:
    with pytest.raises(pydantic_core.PydanticSerializationError):
        to_json("\ud800")
    assert to_json({"at": 2**64}) == b'{"at":18446744073709551616}'
    assert to_json([{1}], default=sorted) == b"[[1]]"


def test_a_named_tuple_is_an_array_whatever_the_rest_becomes() -> None:
    """`default=repr` made text of change notices, and streams heard of no change."""
    notice = ChangeNotice("acme", "gen_1", 2)
    assert to_json([("*", 1), notice], default=repr) == b'[["*",1],["acme","gen_1",2]]'
    assert to_json({"a": notice}) == b'{"a":["acme","gen_1",2]}'
    assert to_json([1j], default=repr) == b'["1j"]'
    with pytest.raises(pydantic_core.PydanticSerializationError):
        to_json([object()])
