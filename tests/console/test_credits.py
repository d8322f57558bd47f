from __future__ import annotations

from playwright.async_api import Page, expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Account, Stack


async def opened(windows: Windows, account: Account, path: str = "/gallery") -> Page:
    page = await windows.open(path, account)
    await page.get_by_role("button", name="credits").click()
    await expect(page.get_by_role("dialog", name="Credits")).to_be_visible()
    return page


async def test_without_a_subscription_bundles_are_shown_and_closed_with_the_reason(
    stack: Stack, windows: Windows
) -> None:
    page = await opened(windows, stack.account())
    dialog = page.get_by_role("dialog", name="Credits")
    await expect(dialog).to_contain_text("Free plan")
    await expect(dialog).to_contain_text("Resets to 100 in")
    await expect(dialog).to_contain_text("No subscription")
    await expect(dialog).to_contain_text("Never expires")
    await expect(dialog).to_contain_text("$0.50 per 100")
    buy = dialog.get_by_role("button", name="Buy · $5.00")
    await expect(buy).to_have_attribute("aria-disabled", "true")
    await expect(buy).to_have_accessible_description("Bundles require a subscription. Choose a plan first")
    await check_appearance(page)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="100 credits")).to_be_focused()


async def test_the_balances_are_in_burn_order_with_held_credits_separate(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard", top_up=500)
    for _ in range(2):
        stack.generate(account, model="nano-banana-2", outputs=2, sandbox={"hang": True})
    page = await opened(windows, account)
    dialog = page.get_by_role("dialog", name="Credits")
    balances = dialog.get_by_role("listitem").filter(has=page.locator(".figure"))
    await expect(balances).to_contain_text([r"Free", r"Subscription", r"Top-up"])
    await expect(balances.nth(0)).to_contain_text("0Resets to 100")
    await expect(balances.nth(1)).to_contain_text("7,904of 8,000 · refreshes")
    await expect(balances.nth(2)).to_contain_text("500Never expires")
    await expect(dialog).to_contain_text("196 held by 2 generations")
    await expect(dialog).to_contain_text("Standard, monthly: renews automatically")
    await expect(dialog.get_by_role("row", name="Held · ")).to_have_count(2)
    await check_appearance(page)
    stack.grant(account, 1.5)  # the dialog keeps up
    await expect(balances.nth(2)).to_contain_text("501.5")


async def test_all_of_it_is_copied_for_a_support_mail(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="basic")
    page = await opened(windows, account)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await expect(page.get_by_role("dialog")).to_contain_text("Basic, monthly")
    await page.get_by_role("button", name="Copy all for support").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text = await page.evaluate("() => navigator.clipboard.readText()")
    for part in ("Available: 3,100", "Free: 100, resets", "Subscription: 3,000 of 3,000", "Plan: Basic", "Entry "):
        assert part in text
    assert account.key not in text


async def test_a_bundle_is_bought_through_the_local_payment_page(stack: Stack, windows: Windows) -> None:
    page = await opened(windows, stack.account(plan="basic"))
    for answer, left in (("Decline", "3,100 credits"), ("Pay 5.00 USD", "4,100 credits")):
        await page.get_by_role("button", name="Buy · $5.00").click()
        await page.wait_for_url("**/checkout/*")
        await expect(page.get_by_role("heading", name="Test checkout")).to_be_visible()
        if answer == "Decline":
            await check_appearance(page)
        await page.get_by_role("button", name=answer).click()
        await page.get_by_role("link", name="back to Farebox").click()
        await expect(page.get_by_role("button", name=left)).to_be_visible()
        await page.get_by_role("button", name=left).click()


async def test_the_api_page_has_the_frame_and_a_search_over_its_calls(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/docs", stack.account())
    await expect(page.get_by_role("heading", name="API", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="100 credits")).to_be_visible()
    await page.get_by_label("Search").fill("Webhook  rotat")
    await expect(page.locator("#count")).to_contain_text("1 of ")
    await expect(page.locator("article:visible h3")).to_contain_text(["/v1/webhooks/{webhook}/rotate"])
    calls = page.get_by_role("navigation", name="Calls")
    await expect(calls.get_by_role("link", name="/v1/")).to_have_text(["POST /v1/webhooks/{webhook}/rotate"])
    await page.evaluate("() => (location.hash = 'createQuote')")
    await expect(page.locator("#createQuote")).to_be_in_viewport()
    await expect(page.get_by_label("Search")).to_have_value("")
    await check_appearance(page, alike="article.panel")
