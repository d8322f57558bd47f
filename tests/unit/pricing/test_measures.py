"""Prices by what is measured: seconds and megapixels of inputs, characters of the prompt."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from gateway.errors import InvalidSettings
from gateway.pricing.card import RateCard
from gateway.pricing.check import check
from gateway.pricing.measures import INPUT_MEGAPIXELS, INPUT_VIDEO_SECONDS, PROMPT_CHARACTERS, PROMPT_MAX_CHARACTERS
from gateway.pricing.quote import Quote, quote

ReadCard = Callable[[str], RateCard]
Faults = Callable[[str], list[str]]

ALEPH = """
    inputs = { video = 2, video_seconds = 30 }
    [[models.clip.rates]]
    credits_per = { input_video_seconds = { credits = 280 } }
    round_up = { input_video_seconds = 1 }
"""


def priced(card: RateCard, images: int = 0, videos: int = 0, audios: int = 0, **measured: str) -> Quote:
    return quote(
        card,
        tool="video",
        model="clip",
        settings={},
        input_images=images,
        input_videos=videos,
        input_audios=audios,
        measured={name: Decimal(amount) for name, amount in measured.items()},
    )


def test_a_measured_video_is_charged_by_its_length(card_with: ReadCard) -> None:
    made = priced(card_with(ALEPH), videos=1, input_video_seconds="4.2")
    assert made.price_millicredits == 5 * 280_000
    assert made.lines[0].label == "Clip · 4.2 s of input video billed as 5"
    assert made.measures == {INPUT_VIDEO_SECONDS: Decimal("4.2")}


def test_an_unmeasured_video_is_priced_at_the_maximum(card_with: ReadCard) -> None:
    made = priced(card_with(ALEPH), videos=1)
    assert made.price_millicredits == 30 * 280_000
    assert made.lines[0].label == "Clip · up to 30 s of input video"


@pytest.mark.parametrize("number", ["characters", "characters * duration"])
def test_characters_are_short_for_those_of_the_prompt(card_with: ReadCard, number: str) -> None:
    card = card_with(f"""
        [models.clip.settings]
        duration = {{ min = 1, max = 2, default = 1 }}
        [[models.clip.rates]]
        credits_per = {{ "{number}" = {{ credits = 0.01 }} }}
        round_up = {{ characters = 10 }}
        [[models.clip.add_ons]]
        name = "Long"
        credits_per = {{ characters = {{ credits = 1, over = 99 }} }}
    """)
    made = priced(card, prompt_characters="101")
    assert made.price_millicredits == 1_100 + 11_000
    assert card.models["clip"].priced_by[-1] == PROMPT_CHARACTERS


def test_characters_are_the_setting_if_there_is_one(card_with: ReadCard) -> None:
    card = card_with("""
        [models.clip.settings]
        characters = { min = 1, max = 9, default = 3 }
        [[models.clip.rates]]
        credits_per = { characters = { credits = 2 } }
    """)
    assert priced(card, prompt_characters="101").price_millicredits == 6_000


def test_a_price_that_names_characters_twice_is_refused(faults_with: Faults) -> None:
    text = "credits_per = { characters = { credits = 1 }, prompt_characters = { credits = 2 } }"
    (fault,) = faults_with(f"[[models.clip.rates]]\n{text}")
    assert 'did you mean "prompt_characters"?' in fault


def test_input_audio_is_counted_and_charged_by_its_length(card_with: ReadCard) -> None:
    card = card_with("""
        inputs = { audio = 2, audio_seconds = 60 }
        [[models.clip.rates]]
        credits_per = { input_audio_seconds = { credits = 2 }, input_audios = { credits = 5 } }
    """)
    made = priced(card, audios=2, input_audio_seconds="12.5")
    assert made.price_millicredits == 25_000 + 10_000
    assert made.lines[0].label == "Clip · 2 input audio files · 12.5 s of input audio"
    assert priced(card, audios=1).price_millicredits == 120_000 + 5_000
    with pytest.raises(InvalidSettings, match="Clip accepts at most 2 input audio files; the request has 3"):
        priced(card, audios=3)
    with pytest.raises(InvalidSettings, match="Clip accepts no input images; the request has 1"):
        priced(card, images=1)


def test_without_an_input_of_the_kind_there_is_nothing_to_measure(card_with: ReadCard) -> None:
    assert priced(card_with(ALEPH)).price_millicredits == 0


def test_more_than_the_most_is_refused_with_both_numbers(card_with: ReadCard) -> None:
    with pytest.raises(InvalidSettings) as error:
        priced(card_with(ALEPH), videos=2, input_video_seconds="30.001")
    (problem,) = error.value.problems
    assert problem.path == "inputs"
    assert problem.message == "Clip accepts at most 30 seconds of input video; the request has 30.001."


def test_megapixels_beyond_the_first_cost_more(card_with: ReadCard) -> None:
    card = card_with("""
        inputs = { image = 4, megapixels = 20 }
        [[models.clip.rates]]
        credits = 6.33
        [[models.clip.add_ons]]
        name = "Input beyond one megapixel"
        credits_per = { input_megapixels = { credits = 3.17, over = 1 } }
        per = "request"
    """)
    assert priced(card, images=2, input_megapixels="2.5").price_millicredits == 6330 + 4755
    assert priced(card, images=2, input_megapixels="0.3").price_millicredits == 6330
    assert INPUT_MEGAPIXELS in card.models["clip"].priced_by


def test_a_prompt_is_charged_by_its_characters(card_with: ReadCard) -> None:
    card = card_with("[[models.clip.rates]]\ncredits_per = { prompt_characters = { credits = 0.02 } }")
    assert priced(card, prompt_characters="51").price_millicredits == 1020
    assert priced(card).measures == {PROMPT_CHARACTERS: Decimal(PROMPT_MAX_CHARACTERS)}


def test_the_proof_goes_from_nothing_to_the_most(card_with: ReadCard) -> None:
    proof = check(card_with(ALEPH))["clip"]
    assert (proof.cheapest.millicredits, proof.dearest.millicredits) == (0, 30 * 280_000)


def test_a_product_of_two_numbers_is_counted_once_for_both(card_with: ReadCard) -> None:
    card = card_with("""
        [models.clip.settings]
        duration = { min = 1, max = 10, default = 5, unit = "s" }
        frame_rate = { values = [24, 30, 60] }
        [[models.clip.rates]]
        credits_per = { "duration * frame_rate" = { credits = 0.0125, over = 24 } }
    """)
    made = quote(card, tool="video", model="clip", settings={"duration": 3, "frame_rate": 60})
    assert made.price_millicredits == 1950  # (180 - 24) x 12.5
    assert made.lines[0].label == "Clip · 3 s · 60"


def test_an_output_has_a_maximum_and_steps(card_with: ReadCard) -> None:
    card = card_with("""
        [models.clip.settings]
        duration = { min = 1, max = 60, default = 5 }
        [[models.clip.rates]]
        credits_per = { duration = { credits = 1.1 } }
        round_credits_to = 0.5
        minimum_credits = 2
        maximum_credits = 40.25
    """)
    by_duration = {1: 2000, 2: 2500, 5: 5500, 36: 40000, 37: 40250, 60: 40250}
    for duration, millicredits in by_duration.items():
        made = quote(card, tool="video", model="clip", settings={"duration": duration})
        assert made.price_millicredits == millicredits


def test_a_rate_finer_than_a_millicredit_is_rounded_up_once_in_the_total(card_with: ReadCard) -> None:
    card = card_with("""
        [models.clip.settings]
        duration = { min = 1, max = 60, default = 5 }
        [[models.clip.rates]]
        credits_per = { duration = { credits = 61.8845 } }
    """)
    made = quote(card, tool="video", model="clip", settings={"duration": 3}, outputs=3)
    assert made.price_millicredits == 556_961  # 61.8845 x 9 = 556.9605
    assert sum(line.total for line in made.lines) == Decimal("556.9605")


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (ALEPH.replace(", video_seconds = 30", ""), "write `inputs = { video = 2, video_seconds = 30 }` on the model"),
        (ALEPH.replace("inputs = { video = 2, video_seconds = 30 }", ""), "video_seconds = 30 }` on the model"),
        (ALEPH.replace("credits_per = { input_video_seconds =", 'credits_per = { "input_video_seconds * fps" ='),
         'names "fps", which is not a setting of this model'),
        (ALEPH.replace("{ credits = 280 }", "280"), "must be a table: write { credits = 280 }"),
        (ALEPH.replace("round_up", "minimum_credits = 2\nmaximum_credits = 1\nround_up"), "below its `minimum"),
        (ALEPH.replace("round_up", "round_credits_to = 0\nround_up"), "must be greater than 0"),
        (ALEPH + '[[models.clip.add_ons]]\nname = "Less"\ncredits_per = { prompt_characters = { credits = -1 } }',
         "measured inputs may only raise the price"),
        ("[models.clip.settings]\nprompt_characters = { values = [1] }\n[[models.clip.rates]]\ncredits = 1",
         "is counted or measured by the gateway"),
    ],
)  # fmt: skip
def test_a_card_that_cannot_say_its_most_is_refused_with_the_way_to_say_it(
    faults_with: Faults, tables: str, said: str
) -> None:
    assert any(said in message for message in faults_with(tables))
