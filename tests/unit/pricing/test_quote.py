"""How a price is made (R7; docs/design.md, section 8)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import PriceLine
from gateway.errors import InvalidSettings, UnknownModel
from gateway.pricing.card import RateCard
from gateway.pricing.quote import Quote, billed_as, quote

ReadCard = Callable[[str], RateCard]

BY_RESOLUTION = """
    [models.clip.settings]
    resolution = { values = ["1K", "2K"], default = "1K" }
    enhance_prompt = { values = [false, true], default = false }
    [[models.clip.rates]]
    when = { resolution = "1K" }
    credits = 49
    [[models.clip.rates]]
    when = { resolution = "2K" }
    credits = 73.5
    [[models.clip.add_ons]]
    when = { enhance_prompt = true }
    name = "Prompt enhancer"
    credits = 1
"""

PER_SECOND = """
    [models.clip.settings]
    duration = { min = 1, max = 12, step = 1, default = 4, unit = "s" }
    [[models.clip.rates]]
"""


def priced(card: RateCard, outputs: int = 1, images: int = 0, videos: int = 0, **settings: Any) -> Quote:
    return quote(
        card,
        tool="video",
        model="clip",
        settings=settings,
        outputs=outputs,
        input_images=images,
        input_videos=videos,
    )


def millicredits(card: RateCard, outputs: int = 1, images: int = 0, **settings: Any) -> int:
    return priced(card, outputs, images, **settings).price_millicredits


def test_a_price_of_two_outputs_shows_one_line_with_unit_count_and_total(card_with: ReadCard) -> None:
    made = priced(card_with(BY_RESOLUTION), outputs=2, resolution="2K")
    assert made.price_millicredits == 147_000
    assert made.lines == (PriceLine("Clip · 2K", Decimal("73.5"), Decimal(2), Decimal(147)),)


def test_settings_that_are_left_out_have_their_defaults(card_with: ReadCard) -> None:
    made = priced(card_with(BY_RESOLUTION))
    assert made.settings == {"resolution": "1K", "enhance_prompt": False}
    assert made.price_millicredits == 49_000


def test_a_quote_names_the_version_of_its_card(card_with: ReadCard) -> None:
    card = card_with(BY_RESOLUTION)
    assert priced(card).rate_card == card.version


def test_an_add_on_per_output_counts_for_each_output(card_with: ReadCard) -> None:
    made = priced(card_with(BY_RESOLUTION), outputs=3, enhance_prompt=True)
    assert made.price_millicredits == 3 * (49_000 + 1_000)
    assert made.lines[1] == PriceLine("Prompt enhancer", Decimal(1), Decimal(3), Decimal(3))


def test_an_add_on_per_request_counts_once(card_with: ReadCard) -> None:
    made = priced(card_with(BY_RESOLUTION + '    per = "request"\n'), outputs=3, enhance_prompt=True)
    assert made.price_millicredits == 3 * 49_000 + 1_000
    assert made.lines[1] == PriceLine("Prompt enhancer", Decimal(1), Decimal(1), Decimal(1))


def test_add_ons_apply_in_file_order_so_a_factor_multiplies_only_what_precedes_it(card_with: ReadCard) -> None:
    sum_first = """
    [[models.clip.rates]]
    credits = 100
    [[models.clip.add_ons]]
    name = "Flat"
    credits = 10
    [[models.clip.add_ons]]
    name = "Audio"
    factor = 1.5
    """
    factor_first = """
    [[models.clip.rates]]
    credits = 100
    [[models.clip.add_ons]]
    name = "Audio"
    factor = 1.5
    [[models.clip.add_ons]]
    name = "Flat"
    credits = 10
    """
    assert millicredits(card_with(sum_first)) == 165_000
    made = priced(card_with(factor_first), outputs=2)
    assert made.price_millicredits == 320_000
    assert [(line.label, line.credits, line.total) for line in made.lines] == [
        ("Clip", Decimal(100), Decimal(200)),
        ("Audio × 1.5", Decimal(50), Decimal(100)),
        ("Flat", Decimal(10), Decimal(20)),
    ]


def test_base_plus_per_second_counts_only_the_seconds_over(card_with: ReadCard) -> None:
    card = card_with(
        PER_SECOND + "    credits = 15.825\n    credits_per = { duration = { credits = 5.275, over = 1 } }"
    )
    assert millicredits(card, duration=1) == 15_825
    assert millicredits(card, duration=4) == 15_825 + 3 * 5_275
    assert priced(card, duration=4).lines[0].label == "Clip · 4 s"


def test_a_duration_is_billed_as_the_next_multiple_and_the_label_says_so(card_with: ReadCard) -> None:
    card = card_with(
        PER_SECOND + "    credits_per = { duration = { credits = 6.33 } }\n    round_up = { duration = 5 }"
    )
    assert millicredits(card, duration=5) == 31_650
    assert millicredits(card, duration=9) == millicredits(card, duration=10) == 63_300
    lines = priced(card, duration=9).lines
    assert lines[0].label == "Clip · 9 s billed as 10 s"
    assert [billed_as(lines, value) for value in (9, Decimal("9.0"), 10)] == ["10", "10", "10"]
    assert billed_as(priced(card, duration=5).lines, 5) == billed_as((), 5) == "5"
    assert priced(card, duration=9).settings == {"duration": 9}


def test_conditions_use_the_requested_value_not_the_billed_one(card_with: ReadCard) -> None:
    card = card_with("""
    [models.clip.settings]
    duration = { values = [5, 9, 10], default = 5 }
    [[models.clip.rates]]
    when = { duration = [5, 9] }
    credits_per = { duration = { credits = 1 } }
    round_up = { duration = 10 }
    [[models.clip.rates]]
    when = { duration = 10 }
    credits = 7
    """)
    assert millicredits(card, duration=9) == 10_000
    assert millicredits(card, duration=10) == 7_000


def test_the_minimum_is_of_the_unit_before_add_ons(card_with: ReadCard) -> None:
    card = card_with(
        PER_SECOND
        + """
    credits_per = { duration = { credits = 25 } }
    minimum_credits = 150
    [[models.clip.add_ons]]
    name = "Audio"
    factor = 2
    """
    )
    assert millicredits(card, duration=3) == 300_000
    assert millicredits(card, duration=8) == 400_000


def test_a_surcharge_per_reference_begins_beyond_the_number_that_is_free(card_with: ReadCard) -> None:
    card = card_with("""
    inputs = { image = 8 }
    [[models.clip.rates]]
    credits = 100
    [[models.clip.add_ons]]
    name = "References beyond 5"
    credits_per = { input_images = { credits = 12.07, over = 5 } }
    """)
    assert millicredits(card, images=5) == 100_000
    assert len(priced(card, images=5).lines) == 1, "what costs nothing is no line"
    assert millicredits(card, images=7) == 124_140
    assert priced(card, outputs=2, images=7).lines[1].total == Decimal("48.28")


def test_a_rate_may_depend_on_the_number_of_inputs(card_with: ReadCard) -> None:
    card = card_with("""
    inputs = { image = 2, video = 1 }
    [[models.clip.rates]]
    when = { input_images = 0, input_videos = [0, 1] }
    credits = 1
    [[models.clip.rates]]
    when = { input_images = [1, 2], input_videos = 0 }
    credits = 2
    [[models.clip.rates]]
    when = { input_images = [1, 2], input_videos = 1 }
    credits = 3
    """)
    assert millicredits(card) == 1_000
    assert millicredits(card, images=2) == 2_000
    made = priced(card, images=1, videos=1)
    assert (made.price_millicredits, made.lines[0].label) == (3_000, "Clip · 1 input image · 1 input video")


def test_the_total_is_rounded_up_once_and_the_lines_stay_exact(card_with: ReadCard) -> None:
    card = card_with("""
    [[models.clip.rates]]
    credits = 0.001
    [[models.clip.add_ons]]
    name = "Third"
    factor = 1.333333
    """)
    made = priced(card, outputs=3)
    assert sum(line.total for line in made.lines) == Decimal("0.003999999")
    assert made.price_millicredits == 4, "3 × 2 = 6, had each output been rounded by itself"


def test_a_fractional_step_is_exact(card_with: ReadCard) -> None:
    card = card_with("""
    [models.clip.settings]
    megapixels = { min = 0.1, max = 4, step = 0.1, default = 1, unit = "MP" }
    [[models.clip.rates]]
    credits_per = { megapixels = { credits = 10 } }
    """)
    made = priced(card, megapixels=Decimal("0.3"))
    assert made.price_millicredits == 3_000
    assert made.settings == {"megapixels": Decimal("0.3")}
    assert made.lines[0].label == "Clip · 0.3 MP"
    assert millicredits(card, megapixels=0.3) == 3_000, "a JSON reader's float means what was written"


def test_a_whole_number_written_with_a_decimal_point_is_the_whole_number(card_with: ReadCard) -> None:
    card = card_with(PER_SECOND + "    credits_per = { duration = { credits = 1 } }")
    value = priced(card, duration=Decimal("5.0")).settings["duration"]
    assert (value, type(value)) == (5, int)


def test_an_unknown_tool_is_named_with_a_guess_and_with_what_there_is(card_with: ReadCard) -> None:
    with pytest.raises(UnknownModel) as refused:
        quote(card_with(BY_RESOLUTION), tool="vidoe", model="clip", settings={})
    (problem,) = refused.value.problems
    assert problem.path == "tool"
    assert problem.message == 'There is no tool "vidoe"; did you mean "video"? It must be "video".'


def test_an_unknown_model_is_named_with_a_guess_and_with_what_there_is(card_with: ReadCard) -> None:
    with pytest.raises(UnknownModel) as refused:
        quote(card_with(BY_RESOLUTION), tool="video", model="clop", settings={})
    (problem,) = refused.value.problems
    assert problem.path == "model"
    assert problem.message == 'There is no video model "clop"; did you mean "clip"? It must be "clip".'


def test_a_model_of_another_tool_says_which_tool_to_send(default_card: RateCard) -> None:
    with pytest.raises(UnknownModel) as refused:
        quote(default_card, tool="image", model="wan-2.2", settings={})
    assert str(refused.value) == 'Wan 2.2 is a model of the tool "video", not "image": send "tool": "video".'


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        (
            {"resolution": "8K"},
            "settings.resolution",
            '"8K" is not accepted. It must be "1K" or "2K".',
        ),
        ({"resolution": "2k"}, "settings.resolution", '"2k" is not accepted; did you mean "2K"?'),
        (
            {"resolutoin": "2K"},
            "settings.resolutoin",
            'no such setting; did you mean "resolution"? It has resolution, ',
        ),
        ({"duration": 13}, "settings.duration", "13 is not accepted. It must be a whole number from 1 to 12."),
        ({"duration": "5"}, "settings.duration", '"5" is text; send a number, without quotes.'),
        ({"duration": True}, "settings.duration", "true is a flag; send a number, without quotes."),
        ({"duration": Decimal("2.5")}, "settings.duration", "2.5 is not accepted."),
        ({"duration": Decimal("1e999999")}, "settings.duration", "is too large a number."),
        ({"duration": 10**40}, "settings.duration", "is too large a number."),
        ({"duration": Decimal("NaN")}, "settings.duration", "must be a finite number."),
        ({"duration": float("inf")}, "settings.duration", "must be a finite number."),
        ({"duration": Decimal("1e-400")}, "settings.duration", "has more than 9 decimals."),
        ({"duration": None}, "settings.duration", "must be text, a number, true or false."),
        ({"duration": [5]}, "settings.duration", "must be text, a number, true or false."),
        ({"audio": 1}, "settings.audio", "1 is a number; send true or false, without quotes."),
        ({"audio": "true"}, "settings.audio", '"true" is text; send true or false, without quotes.'),
    ],
)
def test_a_setting_that_is_not_taken_says_what_is(
    card_with: ReadCard, settings: dict[str, object], path: str, message: str
) -> None:
    card = card_with("""
    [models.clip.settings]
    resolution = { values = ["1K", "2K"], default = "1K" }
    duration = { min = 1, max = 12, default = 4 }
    audio = { values = [false, true], default = false }
    [[models.clip.rates]]
    credits = 1
    """)
    with pytest.raises(InvalidSettings) as refused:
        quote(card, tool="video", model="clip", settings=settings)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert message in problem.message


def test_everything_wrong_with_a_request_is_said_at_once(card_with: ReadCard) -> None:
    with pytest.raises(InvalidSettings) as refused:
        quote(
            card_with(BY_RESOLUTION),
            tool="video",
            model="clip",
            settings={"resolution": 2, "speed": 3},
            outputs=5,
            input_images=1,
        )
    assert {problem.path: problem.message for problem in refused.value.problems} == {
        "settings.speed": "Clip has no such setting. It has resolution and enhance_prompt.",
        "settings.resolution": '2 is a number; send text in quotes. It must be "1K" or "2K".',
        "outputs": "5 is not accepted. Clip makes a whole number from 1 to 4 in one request.",
        "inputs": "Clip accepts no input images; the request has 1.",
    }


@pytest.mark.parametrize("outputs", [0, -1, 5, True])
def test_outputs_beyond_what_the_model_makes_are_refused(card_with: ReadCard, outputs: int) -> None:
    with pytest.raises(InvalidSettings, match="outputs"):
        priced(card_with(BY_RESOLUTION), outputs=outputs)


def test_inputs_beyond_what_the_model_takes_are_refused(card_with: ReadCard) -> None:
    card = card_with("""
    inputs = { image = 16, video = 1 }
    [[models.clip.rates]]
    credits = 1
    """)
    with pytest.raises(InvalidSettings, match="Clip accepts at most 1 input video; the request has 2"):
        priced(card, videos=2)
    with pytest.raises(InvalidSettings, match="A request has at most 16 inputs; this one has 17"):
        priced(card, images=16, videos=1)
