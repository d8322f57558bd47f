"""Combinations that a model cannot make: not sold, not priced, and said so with what would do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import InvalidSettings
from gateway.pricing.card import RateCard
from gateway.pricing.quote import quote

ReadCard = Callable[[str], RateCard]
Faults = Callable[[str], list[str]]

VEO = """
    inputs = { image = 3 }
    [models.clip.settings]
    resolution = { values = ["720p", "1080p", "4k"] }
    duration = { values = [4, 6, 8], default = 8 }
    [[models.clip.forbidden]]
    when = { resolution = ["1080p", "4k"], duration = [4, 6] }
    reason = "above 720p it makes 8 seconds only"
    [[models.clip.rates]]
    when = { resolution = "720p" }
    credits_per = { duration = { credits = 100 } }
    [[models.clip.rates]]
    when = { resolution = "1080p" }
    credits = 960
    [[models.clip.rates]]
    when = { resolution = "4k" }
    credits = 2400
"""


def refused(card: RateCard, images: int = 0, **settings: object) -> InvalidSettings:
    with pytest.raises(InvalidSettings) as error:
        quote(card, tool="video", model="clip", settings=settings, input_images=images)
    return error.value


def test_what_is_forbidden_needs_no_rate_and_all_else_is_sold(card_with: ReadCard) -> None:
    card = card_with(VEO)
    for resolution, duration, credits in (("720p", 4, 400), ("720p", 8, 800), ("1080p", 8, 960), ("4k", 8, 2400)):
        made = quote(card, tool="video", model="clip", settings={"resolution": resolution, "duration": duration})
        assert made.price_millicredits == credits * 1000


def test_a_forbidden_combination_is_refused_with_every_change_that_would_do(card_with: ReadCard) -> None:
    error = refused(card_with(VEO), resolution="1080p", duration=4)
    (problem,) = error.problems
    assert problem.path == "settings.duration"
    assert problem.message == (
        'Clip does not accept resolution = "1080p", duration = 4 together: above 720p it makes 8 seconds only. '
        'Send duration = 8 or resolution = "720p".'
    )


def test_the_field_is_one_that_the_request_says(card_with: ReadCard) -> None:
    swapped = VEO.replace("default = 8", "default = 4").replace(
        '["720p", "1080p", "4k"] }', '["720p", "1080p", "4k"] }'
    )
    (problem,) = refused(card_with(swapped), resolution="4k").problems
    assert problem.path == "settings.resolution"


def test_a_change_that_another_rule_forbids_is_not_offered(card_with: ReadCard) -> None:
    rule = '[[models.clip.forbidden]]\n    when = { resolution = "720p", duration = 4 }\n    [[models.clip.rates]]'
    (problem,) = refused(card_with(VEO.replace("[[models.clip.rates]]", rule, 1)), resolution="4k", duration=4).problems
    assert problem.message.endswith("Send duration = 8.")


def test_a_rule_may_name_the_number_of_inputs(card_with: ReadCard) -> None:
    rule = (
        '[[models.clip.forbidden]]\n    when = { resolution = "4k", input_images = [2, 3] }\n    [[models.clip.rates]]'
    )
    card = card_with(VEO.replace("[[models.clip.rates]]", rule, 1))
    quote(card, tool="video", model="clip", settings={"resolution": "4k"}, input_images=1)
    (problem,) = refused(card, images=2, resolution="4k").problems
    assert problem.path == "inputs"
    assert "Send input_images = 0 or 1 or resolution" in problem.message


def test_a_card_that_forbids_its_own_defaults_is_refused(faults_with: Faults) -> None:
    (message,) = faults_with(VEO.replace("[4, 6] }", "[4, 6, 8] }").replace('["1080p", "4k"]', '["720p", "4k"]'))
    assert "[models.clip.forbidden]: forbids the default settings" in message


def test_a_card_that_forbids_everything_is_refused(faults_with: Faults) -> None:
    tables = """
        inputs = { image = 1 }
        [[models.clip.forbidden]]
        when = { input_images = [0, 1] }
        [[models.clip.rates]]
        credits = 1
    """
    (message,) = faults_with(tables)
    assert "forbids every combination" in message


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("{}", "`when` must have at least one entry"),
        ("{ fps = 24 }", "is not a setting of this model"),
        ('{ resolution = "8k" }', 'is "8k", which it does not accept'),
        ("{ prompt_characters = 10 }", "is measured and cannot select a rate"),
    ],
)
def test_a_rule_that_can_never_match_is_refused(faults_with: Faults, when: str, said: str) -> None:
    messages = faults_with(VEO.replace('{ resolution = ["1080p", "4k"], duration = [4, 6] }', when))
    assert any("[models.clip.forbidden] #1" in message and said in message for message in messages)


def test_a_hole_says_both_ways_to_mend_it(faults_with: Faults) -> None:
    (message,) = faults_with(VEO.replace('when = { resolution = "4k" }', 'when = { resolution = "4k", duration = 6 }'))
    assert 'add one with when = { resolution = "4k", duration = 8 }' in message
    assert "[[models.clip.forbidden]]" in message
