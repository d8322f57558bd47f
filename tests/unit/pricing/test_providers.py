"""`[providers.<name>]` and `provider_settings`: what a worker needs to know, and what a card may not leave open."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.domain import SettingValue
from gateway.errors import RateCardError
from gateway.pricing.arguments import arguments_of, name_of
from gateway.pricing.load import read_card
from tests.cases import cases

CARD = """
[tools.image]
name = "Image"
baseline_model = "flux-dev"
[providers.flux-box]
kind = "{kind}"
{provider}
[models.flux-dev]
name = "FLUX dev"
tool = "image"
provider = "flux-box"
provider_model = "acme/flux"
outputs_max = {outputs_max}
prompt = "{prompt}"
inputs = {{ image = {images} }}
[models.flux-dev.settings]
resolution = {{ values = ["1K", "2K"] }}
seed = {{ min = 0, max = 9 }}
strength = {{ min = 0, max = 1, step = 0.25 }}
enhance = {{ values = [false, true] }}
[models.flux-dev.provider_settings]
{settings}
[[models.flux-dev.rates]]
credits = 5
"""
SIZES = 'resolution = { "1K" = { size = "1024x1024" }, "2K" = { size = "2048x2048", tiles = [2, 2] } }'


def card(**parts: object) -> bytes:
    usual = {"kind": "openai", "provider": "", "settings": "", "outputs_max": 1, "prompt": "required", "images": 0}
    return CARD.format(**(usual | parts)).encode()


def test_settings_are_put_into_the_providers_words() -> None:
    words = f'{SIZES}\nseed = "random_seed"\nenhance = ""\nalways = {{ quality = "high", steps = 4.5 }}'
    model = read_card(card(settings=words)).models["flux-dev"]
    asked: dict[str, SettingValue] = {"resolution": "2K", "seed": 7, "strength": Decimal("0.25"), "enhance": True}
    assert arguments_of(model.offers[model.provider], asked) == {
        "quality": "high",
        "steps": 4.5,
        "size": "2048x2048",
        "tiles": [2, 2],
        "random_seed": 7,
        "strength": 0.25,
    }


def test_a_model_that_is_gone_from_the_card_is_still_sent_numbers_that_json_can_say() -> None:
    """What was in flight when its model was taken from the card ended as `internal`: its numbers went as decimals."""
    assert arguments_of(None, {"resolution": "2K", "strength": Decimal("0.25")}) == {
        "resolution": "2K",
        "strength": 0.25,
    }


def test_flags_are_translated_by_their_toml_names() -> None:
    words = 'enhance = { true = { rewrite = "auto" }, false = {} }'
    model = read_card(card(settings=words)).models["flux-dev"]
    assert arguments_of(model.offers[model.provider], {"enhance": True}) == {"rewrite": "auto"}
    assert arguments_of(model.offers[model.provider], {"enhance": False}) == {}


def test_what_is_no_setting_may_have_another_name_too() -> None:
    words = 'prompt = "text"\noutputs = "num_images"'
    offer = read_card(card(kind="fal", settings=words, outputs_max=4)).models["flux-dev"].offers["flux-box"]
    assert (name_of(offer, "prompt"), name_of(offer, "outputs"), name_of(offer, "input_images")) == (
        "text",
        "num_images",
        None,
    )


@cases(
    ("contents", "said"),
    [
        (card(kind="comfyui"), "[providers.flux-box]: needs a `base_url`"),
        (card(kind="openai", provider='base_url = "flux.example"'), "`base_url` must start with https:// or http://"),
        (card(kind="openai", provider='key_env = "sk-123"'), "`key_env`"),
        (card(kind="dreams"), "`kind`"),
        (card(kind="openai", provider="max_in_work = 0"), "`max_in_work`"),
        (card(settings='sed = "x"'), "`sed` is not a setting of this model; did you mean"),
        (card(settings='resolution = { "1K" = { size = "x" } }'), 'has no entry for "2K"'),
        (card(settings=SIZES.replace('"2K"', '"3K"')), 'has "3K", which it does not accept'),
        (card(settings='seed = { "1" = {} }'), "is a range of numbers"),
        (card(settings="enhance = { true = 1, false = {} }"), "must be a table of the values to send"),
        (card(settings="prompt = {}"), "must be text: the provider's name for it"),
        (card(settings='always = "x"'), "must be a table of values that are always sent to the provider"),
        (
            card(kind="http", provider='base_url = "http://127.0.0.1:9000"', settings='prompt = "text"'),
            "`prompt` cannot be renamed",
        ),
        (card(kind="fal").replace(b"acme/flux", b"flux"), "`provider_model` must be fal's name for the model"),
        (card(kind="replicate").replace(b"acme/flux", b"a/b/c"), "`provider_model` must be replicate's name"),
        (card(settings='input_images = "image"', images=1), "`input_images` cannot be renamed"),
        (
            card().replace(b"seed = {", b"duration = {"),
            "makes videos, but providers of kind openai only make images, audio and text",
        ),
        (card().replace(b"image = 0", b"video = 1"), "accepts videos"),
        (card(kind="replicate", outputs_max=2), 'needs `outputs = "…"`'),
        (card(kind="fal", images=2), 'needs `input_images = "…"`'),
        (card(prompt="optional"), '`prompt` is "optional", but providers of kind openai need a prompt'),
        (card(prompt="never"), "`prompt`"),
        (
            card(kind="fal", prompt="none", settings='prompt = "text"'),
            'names the prompt of a model with prompt = "none"',
        ),
        (
            card(kind="fal", prompt="none").replace(
                b"credits = 5", b"credits_per = { prompt_characters = { credits = 1 } }"
            ),
            'counts the prompt of a model with prompt = "none"',
        ),
    ],
)
def test_what_a_card_leaves_open_or_gets_wrong_is_named(contents: bytes, said: str) -> None:
    with pytest.raises(RateCardError) as refused:
        read_card(contents)
    assert said in str(refused.value)


SEVERAL = """
[providers.box]
kind = "http"
base_url = "http://127.0.0.1:9000"
[providers.fal]
kind = "fal"
[tools.image]
name = "Image"
baseline_model = "flux-dev"
[models.flux-dev]
name = "FLUX"
tool = "image"
providers = ["fal", "box"]
[models.flux-dev.at.fal]
provider_model = "fal-ai/flux/dev"
provider_settings = { resolution = { "1K" = { size = 1024 }, "2K" = { size = 2048 } } }
[models.flux-dev.settings]
resolution = { values = ["1K", "2K"] }
[[models.flux-dev.rates]]
credits = 1
"""


def test_a_model_names_several_providers_in_order_each_with_its_own_words() -> None:
    card = read_card(SEVERAL.encode())
    assert card.is_replaceable("fal")
    assert sorted(card.with_alternatives) == ["box", "fal"]
    alone = SEVERAL + '[models.b]\nname = "B"\ntool = "image"\nprovider = "box"\n[[models.b.rates]]\ncredits = 1\n'
    assert not read_card(alone.encode()).is_replaceable("box")
    model = card.models["flux-dev"]
    assert (model.provider, list(model.offers)) == ("fal", ["fal", "box"])
    assert [offer.provider_model for offer in model.offers.values()] == ["fal-ai/flux/dev", None]
    assert [arguments_of(offer, {"resolution": "2K"}) for offer in model.offers.values()] == [
        {"size": 2048},
        {"resolution": "2K"},
    ]


@cases(
    ("old", "new", "said"),
    [
        (
            '"fal", "box"',
            '"fal", "bax"',
            ':13: [models.flux-dev]: `providers[1]` is "bax", and there is no [providers.bax]',
        ),
        ('"fal", "box"', '"fal", "box", "fal"', ':13: [models.flux-dev]: `providers[2]` names "fal" twice'),
        (
            "at.fal",
            "at.fall",
            ":14: [models.flux-dev]: `at.fall` is for a provider that is not in `providers`; did",
        ),
        (
            "fal-ai/flux/dev",
            "flux",
            ":15: [models.flux-dev.at.fal]: `provider_model` must be fal's name for the model, such as",
        ),
        ('resolution = { "1K"', 'size = { "1K"', ":16: [models.flux-dev.at.fal]: `provider_settings.size` is not a"),
        (
            'providers = ["fal", "box"]',
            'provider = "fal"\nproviders = ["box"]',
            ":14: [models.flux-dev]: `providers` cannot be combined with `provider`",
        ),
        (
            'providers = ["fal", "box"]',
            'provider = "box"',
            ':14: [models.flux-dev]: `at` belongs to `providers`: write providers = ["box", "fal"]',
        ),
        (
            'providers = ["fal", "box"]',
            'providers = ["fal", "box"]\nprovider_model = "x"',
            ":14: [models.flux-dev]: `provider_model` belongs to `provider`: write it for each of the `providers`",
        ),
        ('providers = ["fal", "box"]', "providers = []", ":10: [models.flux-dev]: needs `provider`, for example"),
    ],
)
def test_a_fault_in_several_providers_is_named_with_its_line(old: str, new: str, said: str) -> None:
    with pytest.raises(RateCardError) as refused:
        read_card(SEVERAL.replace(old, new, 1).encode())
    assert f"pricing.toml{said}" in str(refused.value)
