"""What a model does not take cannot be chosen, and no page fails of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.api.visitor import open_gateway
from tests.console.pages import Windows, check_appearance

CARD = """
[bundles.small]
name = "Small"
credits = 1000
price = 5.00

[tools.video]
name = "Video"
baseline_model = "veo"

[models.veo]
name = "Veo"
tool = "video"
provider = "sandbox"
[models.veo.settings]
resolution = { values = ["720p", "1080p", "4k"] }
duration = { values = [4, 6, 8], default = 4, unit = "s" }
[[models.veo.forbidden]]
when = { resolution = ["1080p", "4k"], duration = [4, 6] }
reason = "Above 720p it makes 8 seconds only"
[[models.veo.rates]]
when = { resolution = "720p" }
credits_per = { duration = { credits = 10 } }
[[models.veo.rates]]
when = { resolution = ["1080p", "4k"] }
credits = 95

[models.restyle]
name = "Restyle"
tool = "video"
provider = "sandbox"
inputs = { video = 1, video_seconds = 30 }
[[models.restyle.rates]]
credits_per = { input_video_seconds = { credits = 2 } }
"""


@pytest_asyncio.fixture(loop_scope="session")
async def cinema(browser: Browser, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Windows]]:
    """The key of an account at a gateway with a card of its own; nothing is generated, so it has no workers."""
    (tmp_path / "pricing.toml").write_text(CARD)
    async with open_gateway(redis_url, tmp_path) as gateway:
        windows = Windows(browser, gateway.address)
        yield await gateway.account(), windows
        await windows.close()
        assert windows.unexpected == []


async def test_a_forbidden_choice_is_off_with_the_reason_until_the_other_setting_allows_it(
    cinema: tuple[str, Windows],
) -> None:
    key, windows = cinema
    page = await windows.open("/", key)
    large = page.get_by_role("radio", name="1080p")
    await expect(large).to_be_disabled()
    await expect(page.locator("label", has=large)).to_have_attribute("title", "Above 720p it makes 8 seconds only")
    await page.get_by_role("radio", name="8 s").check(force=True)
    await expect(large).to_be_enabled()
    await large.check(force=True)
    await expect(page.get_by_role("radio", name="6 s")).to_be_disabled()
    await expect(page.get_by_role("button", name="Generate · 95 credits")).to_be_visible()
    await check_appearance(page)

    prices = await windows.open("/prices", key)
    await expect(prices.locator("#prices-video")).to_contain_text("1080p or 4k")
    await expect(prices.locator("#prices-video")).to_contain_text("95")
    measured = "2 per second of input video, at most 30: shown at the maximum"
    await expect(prices.locator("#prices-video")).to_contain_text(measured)
    await check_appearance(prices)

    estimator = await windows.open("/estimator", key)
    await estimator.locator("summary", has_text="Settings").first.click()
    await expect(estimator.get_by_role("radio", name="4k").first).to_be_disabled()
