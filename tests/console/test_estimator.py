"""The estimator: the figures of the design, the sum in full, the plan that covers this."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack


async def slide(page: Page, percent: int) -> None:
    await page.get_by_label("Buffer for retries").fill(str(percent))


async def test_the_example_comes_out_with_every_buffer(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/estimator", stack.admin)
    await expect(page.locator("#total")).to_have_text("77,550")
    page = await windows.open("/estimator", stack.account())
    for percent, total in ((20, "74,448"), (25, "77,550"), (30, "80,652")):
        await slide(page, percent)
        await expect(page.locator("#total")).to_have_text(total)
    for text in (
        "30 × 24 × 22 days",
        "15,840",
        "10 × 210 × 22 days",
        "46,200",
        "15,840 + 46,200",
        "62,040",
        "62,040 × 1.3",
    ):
        await expect(page.locator("#sum")).to_contain_text(text)
    await expect(page.locator("#cover")).to_contain_text("Creator")
    await expect(page.locator("#cover")).to_contain_text("100,000 credits a month: 19,348 to spare.")
    await check_appearance(page)


async def test_rows_are_added_changed_removed_and_survive_in_the_url(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/estimator", stack.account())
    await expect(page.get_by_role("group", name="Row 2")).to_be_visible()
    await page.get_by_role("button", name="Add a row").click()
    third = page.get_by_role("group", name="Row 3")
    await third.get_by_label("Model").select_option("nano-banana-2")
    await third.get_by_text("Settings").click()
    await third.get_by_role("radio", name="2K").check(force=True)
    await third.get_by_label("Outputs per request").fill("2")
    await third.get_by_label("A day").fill("0.5")
    await page.get_by_role("spinbutton", name="Days per month").fill("20")
    await expect(page.locator("#sum")).to_contain_text("0.5 × 147 × 20 days")
    await page.get_by_role("button", name="Remove row 1").click()
    await page.get_by_role("button", name="Remove row 2").click()
    await expect(page.locator("#without")).to_have_text("1,470 without buffer.")
    await check_appearance(page)
    await page.reload()
    await expect(page.locator("#without")).to_have_text("1,470 without buffer.")
    await page.get_by_label("A day").fill("")
    await expect(page.locator("#problem")).not_to_be_empty()
    await windows.noted("Failed to load resource")


async def test_the_last_30_days_fill_it(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/estimator", account)
    await page.get_by_role("radio", name="My last 30 days").check(force=True)
    await expect(page.locator("#sum")).to_contain_text("Nothing was made in your last 30 days.")
    stack.ended(account, outputs=3)
    await page.get_by_role("radio", name="Planned usage").check(force=True)
    await page.get_by_role("radio", name="My last 30 days").check(force=True)
    await expect(page.locator("#sum")).to_contain_text("3 outputs × 5")
    await expect(page.locator("#without")).to_have_text("15 without buffer.")
    await expect(page.locator("#cover")).to_contain_text("Basic")
    await check_appearance(page)
