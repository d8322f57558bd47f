"""A refusal says the line where the mistake is."""

from __future__ import annotations

from textwrap import dedent

import pytest

from gateway.errors import RateCardError
from gateway.pricing.lines import Lines, Location
from gateway.pricing.load import read_card
from tests.cases import cases

CARD = dedent("""\
    # line 1: a comment
    [tools.video]
    name = "Video"
    baseline_model = "wan-2.2"

    [models."wan-2.2"]   # an id with a dot
    name = "Wan"
    tool = "video"
    provider = "sandbox"
    settings.duration = { min = 1, max = 5 }
    [[models."wan-2.2".rates]]
    when = { duration = [1, 2] }
    credits = 1
    [[models."wan-2.2".rates]]
    when = { duration = [
      3,
      4,
    ] }
    credits = 2
    [models."wan-2.2".rates.credits_per]
    duration = { credits = 1 }
    """)


@cases(
    ("location", "line"),
    [
        (("tools", "video"), 2),
        (("tools",), 2),
        (("models", "wan-2.2", "provider"), 9),
        (("models", "wan-2.2", "settings", "duration", "max"), 10),
        (("models", "wan-2.2", "rates"), 11),
        (("models", "wan-2.2", "rates", 1, "credits"), 19),
        (("models", "wan-2.2", "rates", 1, "credits_per", "duration", "credits"), 21),
        (("models", "wan-2.2", "add_ons", 0), 6),
        (("plans", "basic"), None),
        ((), None),
    ],
)
def test_a_place_is_found_or_the_table_around_it(location: Location, line: int | None) -> None:
    assert Lines(CARD).of(location) == line


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("credits = 2", "credits = -2", 'pricing.toml:19: [models."wan-2.2".rates] #2: `credits` must not be negative'),
        ('provider = "sandbox"', 'providr = "sandbox"', 'pricing.toml:9: [models."wan-2.2"]: has an unknown name'),
        ('tool = "video"', 'tool = "sound"', "pricing.toml:8: "),
        ("4,", "5,", 'pricing.toml:11: [models."wan-2.2".rates]: has no rate for duration = 4'),
        ("[tools.video]", "[tools.video", "(at line 2, column 13)"),
    ],
)
def test_every_refusal_begins_with_file_and_line(before: str, after: str, said: str) -> None:
    with pytest.raises(RateCardError) as refused:
        read_card(CARD.replace(before, after).encode())
    assert any(said in message for message in refused.value.messages), refused.value.messages


def test_a_line_of_a_long_text_that_looks_like_a_field_is_ignored() -> None:
    text = '[models.x]\ndescription = """\n= 3\n?? = 4\n"""\nname = "X"\n'
    assert Lines(text).of(("models", "x", "name")) == 6
