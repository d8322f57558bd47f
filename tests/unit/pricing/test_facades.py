"""Aliases and facade tables of a rate card: what is refused, and what a client's parameters come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from gateway.errors import InvalidSettings
from gateway.pricing.card import RateCard
from gateway.pricing.check import check
from gateway.pricing.facade_settings import of_pixels, of_size, settings_of
from gateway.pricing.load import default_card_path, load_card

RATE = "[[models.clip.rates]]\ncredits = 1\n"
SETTINGS = """
[models.clip.settings]
aspect_ratio = { values = ["16:9", "9:16"] }
resolution = { values = ["480p", "720p", "1080p"], default = "720p" }
duration = { min = 1, max = 8, default = 4 }
audio = { values = [false, true] }
"""


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        (
            'aliases = ["sora", "sora"]\n' + RATE,
            '[models.clip]: `aliases` lists "sora" twice',
        ),
        (
            'aliases = ["farebox/clip"]\n' + RATE,
            '[models.clip]: `aliases` lists "farebox/clip": every model is called farebox/<id> already',
        ),
        (
            'aliases = ["a b"]\n' + RATE,
            (
                "[models.clip]: `aliases[0]` must be a model name as clients write it, such as gpt-image-1.5 or "
                "fal-ai/flux/dev"
            ),
        ),
        (
            'aliases = ["sora"]\n' + RATE + '[models.b]\nname = "B"\ntool = "video"\nprovider = "sandbox"\n'
            'aliases = ["sora"]\n[[models.b.rates]]\ncredits = 1',
            '[models.b]: `aliases[0]` is "sora", which is already an alias of clip',
        ),
        (
            'aliases = ["b"]\n' + RATE + '[models.b]\nname = "B"\ntool = "video"\nprovider = "sandbox"\n'
            "[[models.b.rates]]\ncredits = 1",
            '[models.clip]: `aliases[0]` is "b", which is the id of another model',
        ),
        (
            RATE + '[models.clip.facade.openai]\nseconds = "duratoin"' + SETTINGS,
            (
                '[models.clip]: `facade.openai.seconds` is "duratoin", which is not a setting of this model; did '
                'you mean "duration"?'
            ),
        ),
        (
            RATE + '[models.clip.facade.openai]\nsize = { "1280x720" = {} }' + SETTINGS,
            (
                "[models.clip]: `facade.openai.size.1280x720` maps to nothing: say which settings it stands for, such "
                'as { aspect_ratio = "1:1" }'
            ),
        ),
        (
            RATE + '[models.clip.facade.openai]\nsize = { "1280x720" = { resolution = "721p" } }' + SETTINGS,
            (
                '[models.clip]: `facade.openai.size.1280x720` is { resolution = "721p" }, which cannot be ordered of '
                "this model"
            ),
        ),
        (
            RATE + '[tools.video.facade.fal]\nsize = { "hd" = { quality = "high" } }' + SETTINGS,
            '[tools.video]: `facade.fal.size.hd` names "quality", which is not a setting of any video model',
        ),
        (
            RATE + "[models.clip.facade.openai]\nsize = {}" + SETTINGS,
            (
                '[models.clip]: `facade.openai.size` maps no value: list them, or write "" to accept the parameter '
                "without effect"
            ),
        ),
    ],
)
def test_a_card_whose_names_lead_nowhere_is_refused(
    faults_with: Callable[[str], list[str]], tables: str, fault: str
) -> None:
    assert faults_with(tables) == [f"pricing.toml: {fault}"]


@pytest.fixture
def card(card_with: Callable[[str], RateCard]) -> RateCard:
    return card_with(
        'aliases = ["sora-2", "fal-ai/sora-2"]\n'
        + RATE
        + '[models.clip.facade.openai]\nseconds = "duration"\nquality = ""\n'
        + 'size = { "1792x1024" = { aspect_ratio = "16:9", resolution = "1080p" } }'
        + SETTINGS
        + '[tools.video.facade.openai]\nseconds = "audio"\nmotion = { slow = { duration = 8 } }'
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [("clip", "clip"), ("farebox/clip", "clip"), ("sora-2", "clip"), ("fal-ai/sora-2", "clip"), ("other", None)],
)
def test_a_model_is_called_by_its_id_by_its_owner_and_by_its_aliases(
    card: RateCard, name: str, model: str | None
) -> None:
    assert card.model_named(name) == model


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"seconds": "6"}, {"duration": 6}),  # the model's table comes before the tool's
        ({"seconds": 6}, {"duration": 6}),
        ({"quality": "anything"}, {}),
        ({"size": "1792x1024"}, {"aspect_ratio": "16:9", "resolution": "1080p"}),
        ({"size": "720x1280"}, {"aspect_ratio": "9:16", "resolution": "720p"}),  # not in the table: by its pixels
        ({"size": "auto"}, {}),
        ({"motion": "slow"}, {"duration": 8}),  # from the tool
        ({"audio": "true", "duration": "2"}, {"audio": True, "duration": 2}),  # by name, as forms write them
    ],
)
def test_parameters_become_settings(
    card: RateCard, given: Mapping[str, object], settings: Mapping[str, object]
) -> None:
    assert settings_of(card, "clip", "openai", given, {"size": of_size}) == settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": "640x640"}, '"640x640" is not accepted by Clip. It must be "1792x1024".'),
        ({"seconds": "12"}, '"12" is not accepted. It must be a whole number from 1 to 8.'),
        ({"seconds": True}, "true is not accepted. It must be a whole number from 1 to 8."),
        ({"motion": "fast"}, '"fast" is not accepted by Clip. It must be "slow".'),
        (
            {"style": "vivid"},
            "Clip has no such parameter. It has aspect_ratio, resolution, duration or audio.",
        ),
        ({"audio": ["x"]}, "must be text, a number, true or false. It must be false or true."),
    ],
)
def test_a_parameter_that_maps_to_nothing_is_refused_by_its_name(
    card: RateCard, given: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        settings_of(card, "clip", "openai", given, {"size": of_size})
    ((problem),) = refused.value.problems
    assert (problem.path, problem.message) == (next(iter(given)), message)


def test_the_default_card_names_every_model_as_others_do() -> None:
    card, _ = load_card(default_card_path()), check(load_card(default_card_path()))
    assert [model_id for model_id, model in card.models.items() if not model.aliases] == []
    assert card.model_named("black-forest-labs/flux-dev") == card.model_named("fal-ai/flux/dev") == "flux-dev"
    assert settings_of(card, "gpt-image-1.5", "openai", {"size": "1024x1536", "quality": "high"}, {}) == {
        "aspect_ratio": "2:3"
    }
    assert settings_of(card, "sora-2-pro", "openai", {"size": "1024x1792", "seconds": "8"}, {}) == {
        "aspect_ratio": "9:16",
        "resolution": "1080p",
        "duration": 8,
    }


@pytest.mark.parametrize("sides", [(0, 0), (0, 1024), (1024, 0), (10**400, 1), (1, 10**400)])
def test_no_model_makes_a_picture_without_a_side_or_of_any_length(sides: tuple[int, int]) -> None:
    """Such a ratio is no float: `size = "1024x00"` was a 500, and so was fal's `image_size` of a huge width."""
    model = load_card(default_card_path()).models["flux-dev"]
    assert of_pixels(model, *sides) is None
    assert of_pixels(model, 1024, 1024) is not None
