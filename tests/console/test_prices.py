"""Prices: every rate at its settings, as the API reckons it; found, sorted, and counted out of a balance."""

from __future__ import annotations

from playwright.async_api import Locator, Page, Route, expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack


def amounts(page: Page, model: str, said: str) -> Locator:
    """Credits and how many they make, of one row."""
    rows = page.locator("#tables tbody tr").filter(has=page.locator("th", has_text=model))
    return rows.filter(has=page.locator("td", has_text=said)).first.locator("td.amount")


async def test_prices_are_those_of_the_quote_and_make_about_so_many(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard")
    page = await windows.open("/prices", account)
    await expect(page.get_by_role("option", name="your balance, 8,100")).to_have_count(1)
    await expect(amounts(page, "Nano Banana 2", "2K")).to_have_text(["73.5", "110"])
    await expect(amounts(page, "Seedance Pro Fast", "720p · 12 s")).to_have_text(["420", "19"])
    quoted = stack.call(
        "POST", "/v1/quotes", account.key, {"tool": "video", "model": "ltx-2.3", "settings": {"duration": 10}}
    )
    await expect(amounts(page, "LTX 2.3", "1080p · 10 s").first).to_have_text(str(quoted["credits"]))
    await page.get_by_label("Makes about, with").select_option("basic")
    await expect(amounts(page, "Nano Banana 2", "2K").nth(1)).to_have_text("40")
    version = stack.call("GET", "/v1/rate-card", account.key)["version"]
    await expect(page.locator("#version")).to_contain_text(version[:19])
    await expect(page.get_by_role("link", name="as JSON")).to_have_attribute("href", "/v1/rate-card")
    await check_appearance(page)


async def test_prices_are_searched_and_sorted(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/prices", stack.account())
    await page.get_by_label("Search").fill("nano 4k")
    await expect(page.locator("#tables tbody tr")).to_have_count(2)
    await expect(page).to_have_url(f"{stack.address}/prices?search=nano+4k")
    await page.get_by_label("Search").fill("nothing of that kind")
    await expect(page.locator("#empty")).to_be_visible()
    await check_appearance(page)
    await page.get_by_label("Search").fill("")
    await page.get_by_role("radio", name="Image").check(force=True)
    await expect(page.locator("#tables section")).to_have_count(1)
    for order in ("ascending", "descending"):
        await page.get_by_role("button", name="Credits", exact=True).click()
        await expect(page.get_by_role("columnheader", name="Credits")).to_have_attribute("aria-sort", order)
        shown = await page.locator("#tables tbody td:nth-child(3)").all_inner_texts()
        numbers = [float(amount.replace(",", "")) for amount in shown]
        assert numbers == sorted(numbers, reverse=order == "descending")
    await page.reload()
    await expect(page.get_by_role("radio", name="Image")).to_be_checked()


async def test_operators_see_prices_without_a_balance(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/prices", stack.admin)
    tools = stack.call("GET", "/v1/rate-card", stack.admin)["tools"]
    await expect(page.locator("#tables section")).to_have_count(len(tools))
    await expect(page.get_by_label("Makes about, with")).to_have_value("basic")


async def test_what_an_account_pays_and_what_is_to_come_is_said_where_prices_are(
    stack: Stack, windows: Windows
) -> None:
    """A plan's discounts and prices that begin at a date, which the packaged card has not, are put into its answers."""
    account = stack.account()
    factors = {"factors": {"flux-dev": 0.8}, "reason": "a contract"}
    stack.call("PUT", f"/v1/admin/accounts/{account.name}/factors", stack.admin, factors)
    page = await (await windows.browse(account)).new_page()
    await page.route("**/v1/rate-card", with_coming)
    await page.route("**/v1/plans", with_discounts)
    await page.goto("/prices")
    found = page.locator("#tables tbody tr", has_text="From Dec 1, 2099: list price 3 + 0.5 per seed")
    await expect(found.first).to_contain_text("FLUX dev")
    await expect(found.first.locator("td.amount").first).to_have_text("4list 5")
    await expect(page.locator("#tables tbody tr", has_text="Z-Image Turbo")).not_to_contain_text("list")
    await expect(page.locator("#version")).to_contain_text("Your prices, with your discounts.")
    await expect(found.first).to_contain_text("4.5 each beyond 1,000 a month")
    await check_appearance(page)
    await page.goto("/")
    offer = page.locator("#models [data-model=flux-dev] .amount")
    await expect(offer).to_have_text("5 4")
    await expect(offer.locator("s")).to_have_text("5")
    await check_appearance(page)
    await page.goto("/plans")
    await expect(page.locator("[aria-labelledby=plan-free]")).to_contain_text("all prices × 1.5")
    await expect(page.locator(".plan").nth(1)).to_contain_text("video prices × 0.8")
    await expect(page.locator(".plan").nth(1)).to_contain_text("FLUX dev prices × 0.75")
    await page.goto("/")
    quote = page.locator("#quote")
    await expect(quote.get_by_role("row", name="× 0.8")).to_contain_text("−1")
    await expect(page.locator("#held-until")).to_contain_text("From Dec 1, 2099, this model has other prices.")
    await page.get_by_label("Prompt", exact=True).fill("A lighthouse")
    await page.get_by_role("button", name="Generate · 4 credits").click()
    await expect(page.locator(".card-of-work")).to_contain_text("charged 4")
    await page.locator(".picture").click()
    receipt = page.get_by_role("dialog").locator(".receipt")
    await expect(receipt.get_by_role("row", name="× 0.8")).to_contain_text("−1")
    await expect(receipt.get_by_role("row", name="Total")).to_contain_text("4 credits")
    await check_appearance(page)


async def with_coming(route: Route) -> None:
    """The rate card, with a price of FLUX dev that begins later and one beyond 1,000 a month."""
    card = await (await route.fetch()).json()
    model = next(model for model in card["models"] if model["id"] == "flux-dev")
    later = {"when": {}, "credits": 3, "credits_per": {"seed": {"credits": 0.5}}}
    model["prices_from"] = [{"valid_from": "2099-12-01T00:00:00.000Z", "rates": [later], "add_ons": []}]
    model["rates"][0]["graduated"] = [{"over": 1000, "credits": 4.5}]
    await route.fulfill(json=card)


async def with_discounts(route: Route) -> None:
    """The plans, with discounts."""
    plans = await (await route.fetch()).json()
    plans["free"]["discounts"] = {"*": 1.5}
    plans["data"][0]["discounts"] = {"video": 0.8, "flux-dev": 0.75}
    await route.fulfill(json=plans)
