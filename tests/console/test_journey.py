"""One customer, from the first sign-in to the numbers in a spreadsheet, by what can be seen and pressed alone."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tests.console.pages import Windows, pay
from tests.console.stack import Account, Stack

# Keeps every wording that the newest card has had: a state may be gone before anybody could ask for it.
_KEEP_WORDINGS = """() => {
  window.wordings = [];
  const note = () => window.wordings.push(document.querySelector('.card-of-work')?.innerText ?? '');
  new MutationObserver(note).observe(document.querySelector('#work'), {childList: true, subtree: true});
}"""


async def test_a_customer_spends_runs_out_pays_and_finds_every_credit_again(
    stack: Stack, windows: Windows, tmp_path: Path
) -> None:
    account = stack.account()
    page = await windows.open("/", None)
    await sign_in(page, account)
    await generate_and_read_the_receipt(page)
    await run_out(page)
    await be_refused_a_bundle(page)
    await windows.noted("403")
    await subscribe(page)
    use_up_the_month(stack, account)
    await buy_a_bundle_and_spend_of_it(page)
    await find_it_in_usage(page, tmp_path)
    assert stack.call("GET", "/v1/balance", account.key)["available"] == 995


async def sign_in(page: Page, account: Account) -> None:
    await page.get_by_label("API key").fill(account.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(balance(page)).to_have_text("100 credits")


async def generate_and_read_the_receipt(page: Page) -> None:
    """Quote, press, watch, receipt: 5 credits, and 95 left."""
    await expect(page.locator("#quote")).to_contain_text("Left afterwards95 credits")
    await page.get_by_label("Prompt", exact=True).fill("A lighthouse on a cliff at dusk")
    await page.evaluate(_KEEP_WORDINGS)
    await page.get_by_role("button", name="Generate · 5 credits").click()
    await expect(newest(page)).to_contain_text("charged 5")
    await expect(newest(page).locator("img")).to_be_visible()
    wordings = await page.evaluate("() => window.wordings")
    assert any("5 held" in wording for wording in wordings), wordings
    await expect(balance(page)).to_have_text("95 credits")
    await newest(page).locator(".picture").click()
    receipt = page.get_by_role("dialog")
    await expect(receipt.get_by_role("row", name="Held · ")).to_contain_text("−5")
    await page.keyboard.press("Escape")


async def run_out(page: Page) -> None:
    """Three outputs at 25 leave 20: too few for one more, and the three ways out are shown."""
    await page.get_by_role("radio", name=re.compile(r"^ImagineArt 2\.0\b")).check(force=True)
    await outputs(page, 3).check(force=True)
    await expect(page.locator("#quote")).to_contain_text("25 × 3 outputs = 75")
    await page.get_by_role("button", name="Generate · 75 credits").click()
    await expect(newest(page)).to_contain_text("charged 75")
    await expect(balance(page)).to_have_text("20 credits")
    await outputs(page, 1).check(force=True)
    await expect(ways_out(page)).to_contain_text("5 credits short")
    await expect(ways_out(page).get_by_role("heading")).to_have_text(["Wait", "Top up", "Larger plan"])
    await expect(ways_out(page)).to_contain_text("Free: back to 100")
    await expect(generate_button(page)).to_have_attribute("aria-disabled", "true")


async def be_refused_a_bundle(page: Page) -> None:
    """No bundle without a subscription: the page says why, and so does the gateway to a page that asks anyway."""
    reason = "Top-ups require a subscription: choose a plan first."
    await expect(ways_out(page)).to_contain_text(reason)
    await balance(page).click()
    buy = page.get_by_role("dialog").get_by_role("button", name="Buy · $5.00")
    await expect(buy).to_have_accessible_description("Bundles require a subscription. Choose a plan first")
    await buy.click(force=True)
    await page.keyboard.press("Escape")
    await expect(ways_out(page)).to_be_visible()  # it led nowhere
    ask = """async () => {
      const sent = {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"bundle": "small"}'};
      const answer = await fetch('/v1/top-ups', sent);
      return [answer.status, (await answer.json()).error.code];
    }"""
    assert await page.evaluate(ask) == [403, "subscription_required"]


async def subscribe(page: Page) -> None:
    """By the third way out, and the local payment page."""
    await ways_out(page).get_by_role("link", name="$13.00 monthly").click()
    await page.get_by_role("button", name="Choose Basic").click()
    await pay(page)
    await expect(balance(page)).to_have_text("3,020 credits")


def use_up_the_month(stack: Stack, account: Account) -> None:
    body = {"bucket": "subscription", "credits": -3000, "reason": "A month's work elsewhere"}
    stack.call("POST", f"/v1/admin/accounts/{account.name}/adjustments", stack.admin, body)


async def buy_a_bundle_and_spend_of_it(page: Page) -> None:
    """A subscriber who is short again buys where it is said: 20 free credits and 5 of the bundle pay the next image."""
    await page.goto("/")
    await expect(ways_out(page)).to_contain_text("5 credits short")
    await ways_out(page).get_by_role("button", name="Buy · $5.00").click()
    await pay(page)
    await page.goto("/")
    await expect(balance(page)).to_have_text("1,020 credits")
    await expect(page.locator("#quote")).to_contain_text("Top-up5 of 1,000")
    await page.get_by_role("button", name="Generate · 25 credits").click()
    await expect(newest(page)).to_contain_text("charged 25")
    await expect(balance(page)).to_have_text("995 credits")


async def find_it_in_usage(page: Page, folder: Path) -> None:
    """By model and by day; and the CSV has the numbers of the page."""
    await page.get_by_role("link", name="Usage").click()
    await expect(page.locator("#spent")).to_have_text("105")
    await expect(page.locator("#count")).to_have_text("3")
    by_model = page.locator("#breakdown")
    for name, generations, credits_ in (("ImagineArt 2.0", "2", "100"), ("FLUX dev", "1", "5"), ("Total", "3", "105")):
        cells = by_model.get_by_role("row", name=name).get_by_role("cell")
        await expect(cells.nth(0)).to_have_text(generations)
        await expect(cells.nth(2)).to_have_text(credits_)
    shown = await page.locator("#days tbody tr").evaluate_all(
        "(rows) => rows.map(({cells: [day, ...sums]}) => [day.firstChild.dateTime, sums.at(-1).textContent])"
    )
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export CSV").click()
    path = folder / "usage.csv"
    await (await download.value).save_as(path)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    spent: dict[str, Decimal] = {}
    of_days: dict[str, Decimal] = {}
    for row in rows:
        amount = Decimal(row["credits"])
        spent[row["model"]] = spent.get(row["model"], Decimal(0)) + amount
        of_days[row["day"]] = of_days.get(row["day"], Decimal(0)) + amount
    assert spent == {"imagineart-2.0": 100, "flux-dev": 5}
    days = [day for day, _ in shown]
    assert days == sorted(days, reverse=True)
    assert of_days.keys() <= set(days)
    assert {day: Decimal(amount) for day, amount in shown} == {day: of_days.get(day, 0) for day in days}


def balance(page: Page) -> Locator:
    """The button with the balance, on every page."""
    return page.locator("#balance")


def newest(page: Page) -> Locator:
    return page.locator(".card-of-work").first


def ways_out(page: Page) -> Locator:
    return page.get_by_role("region", name="Ways to get the credits")


def outputs(page: Page, count: int) -> Locator:
    return page.get_by_role("radiogroup", name="Outputs").get_by_role("radio", name=str(count))


def generate_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Generate ·")
