"""Plans: choose one, pay for it, change it, cancel it, take that back."""

from __future__ import annotations

from playwright.async_api import Route, expect

from tests.console.pages import Windows, check_appearance, pay
from tests.console.stack import Stack


async def test_a_plan_is_chosen_paid_and_then_ones_own(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/plans", account)
    await expect(page.locator(".plan.own")).to_contain_text("Free")
    basic = page.get_by_role("region", name="Basic")
    for text in (
        "$13.00",
        "3,000 credits",
        "about 600 images",
        "with FLUX dev",
        "about 300 audio files",
        "4 images, 2 videos, 2 audio files, 4 texts at once",
    ):
        await expect(basic).to_contain_text(text)
    await check_appearance(page)
    await page.get_by_role("radio", name="Yearly").check(force=True)
    await expect(page.locator("#saving")).to_have_text("30 % less than monthly")
    await expect(page.get_by_role("region", name="Standard")).to_contain_text("$252.00")
    await page.get_by_role("radio", name="Monthly").check(force=True)
    await page.get_by_role("button", name="Choose Standard").click()
    await pay(page)
    await page.goto("/plans")
    await expect(page.locator("#own")).to_contain_text("Your plan: Standard, paid monthly.")
    await expect(page.locator(".plan.own")).to_contain_text("Standard")
    await expect(page.get_by_role("button", name="8,100 credits")).to_be_visible()
    await check_appearance(page)


async def test_a_plan_is_cancelled_and_resumed(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="basic")
    page = await windows.open("/plans", account)
    await page.get_by_role("button", name="Cancel the plan…").click()
    await check_appearance(page)
    await page.get_by_role("button", name="Keep it").click()
    await page.get_by_role("button", name="Cancel the plan…").click()
    await page.get_by_role("button", name="Cancel the plan", exact=True).click()
    await expect(page.locator("#own .badge")).to_have_text("cancelled")
    await expect(page.locator("#own")).to_contain_text("Ends")
    assert stack.call("GET", "/v1/balance", account.key)["plan"]["status"] == "cancelled"
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("#own .badge")).to_have_text("active")
    assert stack.call("GET", "/v1/balance", account.key)["plan"]["status"] == "active"


async def test_a_change_waits_for_the_periods_end_or_is_paid_now(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard")
    page = await windows.open("/plans", account)
    await page.get_by_role("button", name="Change to Basic when this period ends").click()
    await expect(page.locator("#own")).to_contain_text("Becomes Basic, paid monthly")
    assert stack.call("GET", "/v1/balance", account.key)["plan"]["scheduled"]["plan"] == "basic"
    await page.get_by_role("button", name="Stay on Standard").click()
    await expect(page.locator("#own .badge")).to_have_text("active")
    await page.get_by_role("button", name="Change to Ultimate now").click()
    await expect(page.get_by_role("row", name="Credits a month")).to_contain_text("8,000 credits")
    await expect(page.get_by_role("row", name="Price")).to_contain_text("$30.00 a month")
    await expect(page.get_by_role("dialog")).to_contain_text("Credits you have left stay until their own date.")
    await check_appearance(page)
    await page.get_by_role("button", name="Continue to payment").click()
    await pay(page)
    await page.goto("/plans")
    await expect(page.locator("#own")).to_contain_text("Your plan: Ultimate")


async def test_a_change_says_when_the_card_drops_what_is_left(stack: Stack, windows: Windows) -> None:
    """The preview promised that credits stay, whatever the rate card said."""
    page = await windows.open("/gallery", stack.account(plan="standard"))

    async def drop(route: Route) -> None:
        plans = await (await route.fetch()).json()
        await route.fulfill(json=plans | {"upgrade_leftover": "drop"})

    await page.route("**/v1/plans", drop)
    await page.goto("/plans")
    await page.get_by_role("button", name="Change to Ultimate now").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Plan credits you have left expire.")
    await page.unroute("**/v1/plans")


async def test_the_table_says_what_each_plan_opens(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/plans", stack.admin)
    pro = page.get_by_role("row", name="Nano Banana Pro")
    await expect(pro).to_be_visible()
    cells = ["– not included", *["all settings"] * 4]
    await expect(pro.get_by_role("cell")).to_have_text(cells, use_inner_text=True)
    await expect(page.get_by_role("button", name="Choose Basic")).to_have_count(0)
