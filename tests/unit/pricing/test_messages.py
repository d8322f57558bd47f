"""A card that does not validate says so in words that a person can act on: the file, the table, the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import RateCardError
from gateway.pricing.load import load_card, read_card
from tests.cases import cases

Faults = Callable[[str], list[str]]

HEAD = """
[tools.video]
name = "Video"
baseline_model = "clip"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
[[models.clip.rates]]
credits = 1
"""


@cases(
    ("tables", "message"),
    [
        (
            "[free]\ndaily_credits = 0.0005",
            "[free]: `daily_credits` is 0.0005, but granted credits have at most three decimals: write 0.001",
        ),
        (
            '[free]\ndaily_credits = "100"',
            '[free]: `daily_credits` must be a number such as 49 or 73.5, not the text "100"',
        ),
        ("[free]\ndaily_credits = true", "[free]: `daily_credits` must be a number such as 49 or 73.5"),
        ("[free]\ndaily_credits = -1", "[free]: `daily_credits` must not be negative"),
        ("[free]\ndaily_credits = nan", "[free]: `daily_credits` must be a finite number"),
        ("[free]\ndaily_credits = 1e300", "[free]: `daily_credits` is too large a number"),
        ("[free]\ndaily_credits = 9000000001", "[free]: `daily_credits` must be at most 9,000,000,000 credits"),
        ('[free]\nfor = "all"', '[free]: `for` must be "everyone", "without_subscription" or "verified"'),
        (
            '[free]\nreset_time = "24:00"',
            '[free]: `reset_time` must be a time of day in quotes from "00:00" to "23:59"',
        ),
        (
            '[free]\ntimezone = "Europe/Berln"',
            '`timezone` is "Europe/Berln", which is not a time zone; did you mean "Europe/Berlin"?',
        ),
        (
            '[models.other]\nname = "O"\ntool = "video"\nprovider = "sandbax"\n[[models.other.rates]]\ncredits = 1',
            '[models.other]: `provider` is "sandbax", and there is no [providers.sandbax]; did you mean "sandbox"?',
        ),
        (
            '[models.other]\nname = "O"\ntool = "video"\nprovider = "midi"\n[[models.other.rates]]\ncredits = 1',
            '[models.other]: `provider` is "midi", and there is no [providers.midi] (there is "sandbox")',
        ),
        (
            '[tools.a]\nname = "A"\nbaseline_model = "clip"\noutput = "sound"',
            '[tools.a]: `output` must be "image", "video", "audio", "text" or "file"',
        ),
        (
            '[tools.a]\nname = "A"\nbaseline_model = "clip"\noutput = "audio"\ncheck = { resolution = "exact" }',
            "[tools.a]: `check.resolution` is for images and videos, and this tool makes audio: remove it",
        ),
        (
            '[tools.a]\nname = "A"\nbaseline_model = "clip"\noutput = "text"\ncheck = { duration = ">= 0.5" }',
            "[tools.a]: `check.duration` is for videos and audio, and this tool makes text: remove it",
        ),
        (
            '[free]\ntimezone = "\\u001b[2J"',
            '[free]: `timezone` is "\\U0000001B[2J", which is not a time zone',
        ),
        ('[free]\ntimezone = "../etc"', '[free]: `timezone` is "../etc", which is not a time zone'),
        (
            "[free]\ndaly_credits = 1",
            '[free]: has an unknown name `daly_credits`; did you mean "daily_credits"? Known here: allow, ',
        ),
        (
            "[free]\nconcurrency = { vidoe = 1 }",
            '[free]: `concurrency` names the tool "vidoe", which is not in this card; did you mean "video"?',
        ),
        ("[free]\nconcurrency = { video = 0 }", "[free]: `concurrency.video` must be at least 1"),
        ("[free]\noutput_days = 0", "[free]: `output_days` must be at least 1"),
        ("[free]\noutput_days = 3651", "[free]: `output_days` must be at most 3650"),
        ("[free]\nmax_waiting = 1.5", "[free]: `max_waiting` must be a whole number, without quotes"),
        ('[free]\nallow = { video = { speed = "x" } }', "`allow.video.speed` is not a setting of any video model"),
        (
            '[refunds]\ngrace = "1 day"',
            '[refunds]: `grace` must be a duration in quotes such as "30s", "10m", "24h" or "1d"',
        ),
        ('[refunds]\ngrace = "0s"', "[refunds]: `grace` must be longer than zero"),
        ("[refunds]\ngrace = 24", "[refunds]: `grace` must be a duration in quotes"),
        ('[refunds]\ngrace = "9999d"', "[refunds]: `grace` must be at most ten years"),
        ('[subscriptions]\nupgrade_leftover = "lose"', '[subscriptions]: `upgrade_leftover` must be "keep" or "drop"'),
        ("[plan.basic]", 'pricing.toml:12: has an unknown name `plan`; did you mean "plans"?'),
        ("[plans.basic]\nmonthly_credits = 1\nprice = { monthly = 1 }", "[plans.basic]: needs `name`, for example"),
        (
            '[plans.basic]\nname = "B"\nmonthly_credits = 1\nprice = {}',
            "[plans.basic]: `price` needs a price for at least one",
        ),
        ('[plans.basic]\nname = "B"\nmonthly_credits = 1\nprice = 5', "[plans.basic]: `price` must be a table"),
        (
            '[plans.basic]\nname = "B"\nmonthly_credits = 1\nprice = { monthly = 1.005 }',
            "[plans.basic]: `price.monthly` is 1.005, but prices have at most two decimals",
        ),
        (
            '[plans.basic]\nname = "B"\nmonthly_credits = 1\nprice = { weekly = 1 }',
            "[plans.basic]: `price` has an unknown name `weekly`. Known here: monthly, quarterly, yearly",
        ),
        (
            '[plans.free]\nname = "F"\nmonthly_credits = 1\nprice = { monthly = 1 }',
            "[plans.free]: is reserved for accounts without a subscription ([free]): choose another id",
        ),
        (
            '[plans."Big Plan"]\nname = "B"\nmonthly_credits = 1\nprice = { monthly = 1 }',
            '[plans."Big Plan"]: is not a valid id: "Big Plan" must be 1 to 64 lowercase letters, digits, dots',
        ),
        ('[bundles.small]\nname = ""\ncredits = 1\nprice = 1', "[bundles.small]: `name` must not be empty"),
        (
            '[tools.image]\nname = "Image"\nbaseline_model = "clip"',
            '[tools.image]: `baseline_model` is "clip", a model of the tool "video": name one of this tool\'s models',
        ),
        (
            '[tools.image]\nname = "Image"\nbaseline_model = "x"\nattempts_max = 0',
            "[tools.image]: `attempts_max` must be at least 1",
        ),
        (
            '[models.wan-2.2]\nname = "Wan"\ntool = "video"',
            'has an unknown table `2`: quote an id that contains a dot, as in [models."wan-2.2"]',
        ),
        (
            '[models."x.y"]\nname = "X"\ntool = "sound"\nprovider = "sandbox"\n[[models."x.y".rates]]\ncredits = 1',
            '[models."x.y"]: `tool` is "sound", which is not in this card (there is "video")',
        ),
        (
            '[models.x]\nname = "X"\ntool = "video"\nprovider = "sandbox"',
            "[models.x]: needs `rates`, at least one [[models.….rates]] with a price",
        ),
        (
            '[models.x]\nname = "X"\ntool = "video"\nprovider = "sandbox"\npro = "yes"\nrates = [{ credits = 1 }]',
            "[models.x]: `pro` must be true or false, without quotes",
        ),
        (
            '[models.x]\nname = "X"\ntool = "video"\nprovider = "sandbox"\n[models.x.rates]\ncredits = 1',
            "[models.x.rates]: must be a list of tables, each under its own [[…]]",
        ),
        ('path = "x"', "has an unknown name `path`"),
    ],
)
def test_a_fault_names_the_table_and_the_way_to_mend_it(tables: str, message: str) -> None:
    with pytest.raises(RateCardError) as refused:
        read_card((f"{tables}\n{HEAD}" if "=" in tables.splitlines()[0] else f"{HEAD}\n{tables}").encode())
    assert any(message in line for line in refused.value.messages), refused.value.messages
    assert all(re.match(r"pricing\.toml(:\d+)?: ", line) for line in refused.value.messages)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            "credits = 49.1234567891",
            "[models.clip.rates] #1: `credits` has more than 9 decimals",
        ),
        (
            "",
            "[models.clip.rates] #1: needs `credits`, `credits_per` or `reported` (write `credits = 0` if",
        ),
        (
            'credits = 1\nwhen = { resolutoin = "1K" }',
            '[models.clip.rates] #1: `when.resolutoin` is not a setting of this model; did you mean "resolution"?',
        ),
        (
            'credits = 1\nwhen = { resolution = "8K" }',
            '#1: `when.resolution` is "8K", which it does not accept: it accepts "1K" or "2K"',
        ),
        (
            "credits = 1\nwhen = { audio = 1 }",
            "#1: `when.audio` is 1, which never matches: the setting is true or false, and accepts false or true",
        ),
        ("credits = 1\nwhen = { audio = [] }", "#1: `when.audio` must list at least one value"),
        ("credits = 1\nwhen = { audio = [true, true] }", "#1: `when.audio` lists true twice"),
        (
            "credits = 1\nwhen = { input_images = 1 }",
            "counts inputs that this model does not accept: write `inputs = { image = 4 }`",
        ),
        (
            "credits = 1\nwhen = { input_videos = 3 }",
            "#1: `when.input_videos` is 3, which never occurs: it is a whole number from 0 to 1",
        ),
        (
            "credits_per = { resolution = { credits = 1 } }",
            '#1: `credits_per.resolution` cannot be counted: the setting accepts "1K" or "2K", not numbers',
        ),
        ("credits_per = { duration = { credits = -1 } }", "#1: `credits_per.duration.credits` must not be negative"),
        ("credits = 1\nround_up = { audio = 5 }", "#1: `round_up.audio` cannot be counted"),
        ("credits = 1\nround_up = { duration = 0 }", "#1: `round_up.duration` must be greater than 0"),
        ("credits = 1\nround = 5", '#1: has an unknown name `round`; did you mean "round_up"?'),
        (
            'credits = 1\n[[models.clip.add_ons]]\nname = "A"',
            "[models.clip.add_ons] #1: needs exactly one of `credits`, `factor`",
        ),
        (
            'credits = 1\n[[models.clip.add_ons]]\nname = "A"\ncredits = 1\nfactor = 2',
            "[models.clip.add_ons] #1: needs exactly one of `credits`, `factor` and `credits_per`",
        ),
        (
            'credits = 1\n[[models.clip.add_ons]]\nname = "A"\nfactor = 1.1234567',
            "#1: `factor` must be between 0 and 1,000",
        ),
        (
            'credits = 1\n[[models.clip.add_ons]]\nname = "A"\ncredits = 1\nper = "second"',
            '[models.clip.add_ons] #1: `per` must be "output" or "request"',
        ),
    ],
)
def test_a_fault_in_a_rate_says_which_rate(faults_with: Faults, tables: str, message: str) -> None:
    settings = """
inputs = { video = 1 }
[models.clip.settings]
resolution = { values = ["1K", "2K"], default = "1K" }
audio = { values = [false, true], default = false }
duration = { min = 1, max = 3, default = 1 }
[[models.clip.rates]]
"""
    assert any(message in line for line in faults_with(settings + tables)), faults_with(settings + tables)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('{ values = "1K" }', "`x.values` must be a list such as"),
        ("{ values = [] }", "`x.values` must list at least one value"),
        ('{ values = [1, "1"] }', "`x` mixes a number and text in `values`: all must have the same type"),
        ("{ values = [1, true] }", "`x` mixes a number and true or false in `values`: all must have the same type"),
        ("{ values = [1, 2], min = 1 }", "`x` has both `values` and a range"),
        ("{ min = 1 }", "`x` needs `values = […]`, or `min` and `max`"),
        ("{ min = 3, max = 1 }", "`x` has a `min` of 3 above its `max` of 1"),
        ("{ min = 1, max = 10, step = 2 }", "`x` cannot reach its `max` of 10 from 1 in steps of 2"),
        ("{ min = 1, max = 10, step = 0 }", "`x.step` must be greater than 0"),
        ("{ min = 1, max = 10, default = 11 }", "`x` `default` is 11, which it does not accept: it accepts a whole"),
        ('{ values = ["a"], default = "b" }', '`x` `default` is "b", which it does not accept: it accepts "a"'),
        ("{ values = [1979-05-27] }", "`x.values[0]` must be text, a number, true or false"),
        ('{ min = 1, max = 2, unti = "s" }', '`x` has an unknown name `unti`; did you mean "unit"?'),
    ],
)
def test_a_fault_in_a_setting_says_which_setting(faults_with: Faults, setting: str, message: str) -> None:
    tables = f"[models.clip.settings]\nx = {setting}\n[[models.clip.rates]]\ncredits = 1"
    assert any(f"[models.clip.settings]: {message}" in line for line in faults_with(tables)), faults_with(tables)


def test_a_setting_may_not_take_the_name_of_the_number_of_inputs(faults_with: Faults) -> None:
    tables = "[models.clip.settings]\ninput_images = { min = 0, max = 3 }\n[[models.clip.rates]]\ncredits = 1"
    (message,) = faults_with(tables)
    assert message.startswith("pricing.toml: [models.clip.settings]: `input_images` is counted or measured")


def test_every_fault_is_said_at_once(faults_of: Faults) -> None:
    messages = faults_of("""
    [free]
    daily_credits = -1
    timezone = "Mars"
    [plans.basic]
    name = 5
    monthly_credits = 1
    price = { monthly = 1 }
    """)
    assert messages == [
        "pricing.toml: [free]: `daily_credits` must not be negative",
        'pricing.toml: [free]: `timezone` is "Mars", which is not a time zone; use a name such as Europe/Berlin',
        "pricing.toml: [plans.basic]: `name` must be text in quotes",
        "pricing.toml: needs `tools`, with a table such as [tools.image] for each studio",
        "pricing.toml: needs `models`, with a table such as [models.my-model] for each model",
    ]


def test_text_that_is_no_toml_says_the_line() -> None:
    with pytest.raises(RateCardError, match=r"^here\.toml: is not valid TOML: .*line 2"):
        read_card(b"[free]\ndaily_credits = \n", path="here.toml")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(RateCardError, match=r"is not UTF-8 text \(byte 2\)"):
        read_card(b"# \xff")


def test_a_table_nested_beyond_reason_is_refused_as_toml() -> None:
    with pytest.raises(RateCardError, match="is not valid TOML"):
        read_card(b"a = " + b"[" * 100_000)


def test_a_number_of_ten_thousand_digits_is_refused_as_toml() -> None:
    with pytest.raises(RateCardError, match="is not valid TOML"):
        read_card(b"[free]\ndaily_credits = " + b"9" * 10_000)


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(RateCardError, match=r"pricing\.toml: no such file; .* FAREBOX_RATE_CARD"):
        load_card(tmp_path / "pricing.toml")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RateCardError, match="cannot be read"):
        load_card(tmp_path)
