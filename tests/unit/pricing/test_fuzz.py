"""Any bytes at all as a rate card: refused in words that name the file, or a card that prices whatever it accepts."""

from __future__ import annotations

import copy
import datetime as dt
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import RateCardError
from gateway.ledger.policy_of_card import policy_of
from gateway.pricing.card import RateCard
from gateway.pricing.load import read_card
from gateway.pricing.measures import INPUTS_MAX
from gateway.pricing.quote import quote
from tests.lengths import LONG

MESSAGE_MAX = 2000
BASE = tomllib.loads(Path(__file__).with_name("fuzzed.toml").read_text())

_WORDS = [
    "",
    "image",
    "video",
    "clip",
    "sketch",
    "resolution",
    "duration",
    "input_images",
    "1K",
    "free",
    "sandbox",
    "UTC",
]
_SCALARS = st.one_of(
    st.sampled_from(_WORDS),
    st.text(max_size=12),
    st.text(alphabet="9", min_size=300, max_size=400),
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([2**53, -(2**63), 10**400, 9_000_000_001, 100_001]),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, 5e-324, 0.1, -0.0, 0.0005, 1e-9, 73.5]),
    st.sampled_from(["24h", "0s", "99999999999d", "25:00", "23:59", "Europe/Berlin", "../../etc/passwd", "1e3"]),
    st.dates(),
    st.datetimes(),
    st.just(dt.time(1, 2)),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=6,
)

# What would be the inside of Farebox: a traceback, a class, a module.
_INSIDE = re.compile(r"Traceback|Decimal\(|gateway\.|pydantic|<class")

Place = tuple[Any, Any]


def _places(table: Any) -> Iterator[Place]:
    """Every value of the card, as what holds it and its key there."""
    pairs = list(table.items()) if isinstance(table, dict) else list(enumerate(table))
    for key, value in pairs:
        yield table, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _remove(holder: Any, key: Any, _: Any) -> None:
    del holder[key]


def _replace(holder: Any, key: Any, value: Any) -> None:
    holder[key] = value


def _double(holder: Any, key: Any, value: Any) -> None:
    """Write it a second time: a rate or an add-on twice, a table under another name."""
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[str(value)[:40]] = copy.deepcopy(holder[key])


def _swap(holder: Any, key: Any, value: Any) -> None:
    """Put a table where a value was, or the other way round."""
    holder[key] = [holder[key]] if isinstance(holder[key], dict) else {str(value)[:20]: holder[key]}


_CHANGES: list[Callable[[Any, Any, Any], None]] = [_remove, _replace, _replace, _double, _swap]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A card that was right, with one to four things done to it."""
    card = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(card))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        draw(st.sampled_from(_CHANGES))(holder, key, draw(_VALUES))
    return tomli_w.dumps(card).encode(errors="surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The text of a card, with bytes cut out, put in or turned over."""
    text = bytearray(tomli_w.dumps(BASE).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 40))] = draw(
            st.binary(max_size=12) | st.sampled_from([b"\xef\xbb\xbf", b"[", b"[[", b"'''", b"\r\n", b"="])
        )
    return bytes(text)


def _outcome(contents: bytes) -> str:
    """`refused`, in words, or `valid`: then it prices its defaults and the ends of its settings."""
    messages: Sequence[str] = ()
    try:
        card = read_card(contents, path="pricing.toml")
    except RateCardError as refused:
        messages = refused.messages
    else:
        _price_all(card)
        return "valid"
    assert messages
    for said in messages:
        assert re.match(r"pricing\.toml(:\d+)?: ", said), said
        assert said.isprintable(), "a message is one line, and nothing in it is obeyed by a terminal"
        assert len(said) < MESSAGE_MAX, said
        assert not _INSIDE.search(said), said
    return "refused"


def _price_all(card: RateCard) -> None:
    policy_of(card)
    for model_id in card.models:
        _price(card, model_id)


def _price(card: RateCard, model_id: str) -> None:
    model = card.models[model_id]
    ends: list[dict[str, Any]] = [{}]
    for name, setting in model.settings.items():
        values = list(setting.each()) if setting.count <= 4 else [setting.default]
        ends += [{name: value} for value in (values[0], values[-1])]
    for chosen in ends:
        for outputs in (1, model.outputs_max):
            images = min(model.inputs.image, INPUTS_MAX)
            made = quote(card, tool=model.tool, model=model_id, settings=chosen, outputs=outputs, input_images=images)
            assert made.price_millicredits >= 0
            assert made.lines


def _outcomes(files: st.SearchStrategy[bytes], cases: int) -> Counter[str]:
    """How many of so many files were refused and valid; the same files every time."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=cases, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(contents=files)
    def read(contents: bytes) -> None:
        seen[_outcome(contents)] += 1

    read()
    return seen


def test_a_changed_card_is_refused_in_words_or_prices_what_it_accepts() -> None:
    seen = _outcomes(mutated(), 800 if LONG else 300)
    assert seen["refused"] > 75
    assert seen["valid"] > 7


def test_a_damaged_file_is_refused_in_words_or_prices_what_it_accepts() -> None:
    seen = _outcomes(damaged() | st.binary(max_size=200), 1000 if LONG else 400)
    assert seen["refused"] > 160
    assert seen["valid"] > 4
