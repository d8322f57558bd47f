"""The Margin page: what generations earned and cost, for the roles that see money."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Route, expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack


async def test_what_was_earned_is_shown_by_model_and_day_as_the_api_has_it(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard", free=False)
    for _ in range(2):
        stack.ended(account, model="grok-imagine")
    page = await windows.open("/margin", stack.admin)
    await expect(page.locator("#groups tbody tr", has_text="Grok Imagine")).to_contain_text("Subscription $0.")
    await expect(page.locator("#unknown")).to_contain_text("no known cost: give the models a cost in the rate card.")
    earned = stack.call("GET", "/v1/ops/margin?group_by=model&model=grok-imagine", stack.admin)["totals"]["revenue"]
    row = page.locator("#groups tbody tr", has_text="Grok Imagine")
    assert float(earned) > 0
    await expect(row.locator("td").nth(2)).to_contain_text(f"${float(earned):.4f}".rstrip("0"))
    await expect(row.get_by_role("link")).to_have_attribute("href", "/work?status=charged&model=grok-imagine")
    await page.get_by_text("As a table").click()
    today = str(datetime.now(UTC).date())
    await expect(page.locator("#days tbody th")).to_have_text([today])
    await page.locator("#chart").press("End")
    await expect(page.locator("#chart .tip")).to_contain_text(today)
    await check_appearance(page)
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Export CSV").click()
    file = await saved.value
    assert file.suggested_filename.startswith("margin-")
    exported = await file.path()
    assert "grok-imagine" in exported.read_text()
    await page.get_by_role("radio", name="Day", exact=True).check(force=True)
    await expect(page.locator("#groups tbody th")).to_have_text([today])
    await expect(page.locator("#table")).to_be_hidden()
    await page.reload()
    await expect(page.locator("#groups tbody th")).to_have_text([today])
    await page.get_by_role("radio", name="Bucket").check(force=True)
    await expect(page.locator("#groups-heading")).to_have_text("By bucket")
    paid = page.locator("#groups tbody tr", has_text="Subscription")
    revenue = stack.call("GET", "/v1/ops/margin?group_by=bucket", stack.admin)["data"]
    (subscription,) = (one for one in revenue if one["bucket"] == "subscription")
    await expect(paid.locator("td").nth(2)).to_contain_text(f"${float(subscription['revenue']):.4f}".rstrip("0"))
    await check_appearance(page)


async def test_periods_end_today_and_two_dates_take_their_place(stack: Stack, windows: Windows) -> None:
    stack.ended(stack.account())
    today = datetime.now(UTC).date()
    page = await windows.open("/margin", stack.admin)
    first, last = page.get_by_label("From"), page.get_by_label("To", exact=True)
    for days in (90, 7, 30):
        await page.get_by_role("radio", name=f"{days} days").check(force=True)
        await expect(first).to_have_value(str(today - timedelta(days - 1)))
        await expect(last).to_have_value(str(today))
        await expect(page.locator("#revenue")).to_have_text(re.compile(r"\$"))
        await expect(page).to_have_url(re.compile(rf"\?period={days}$" if days != 30 else r"/margin$"))
    day = today - timedelta(3)
    await first.fill(str(day))
    await expect(page).to_have_url(f"{stack.address}/margin?from={day}&to={today}")
    await expect(page.get_by_role("radio", name="30 days")).not_to_be_checked()
    await page.reload()
    await expect(first).to_have_value(str(day))
    await page.goto(f"{stack.address}/margin?period=7&by=bucket")
    await expect(first).to_have_value(str(today - timedelta(6)))
    await expect(page.locator("#groups-heading")).to_have_text("By bucket")


async def test_drift_losses_and_what_is_not_known_are_told_and_every_column_sorts(
    stack: Stack, windows: Windows
) -> None:
    page = await (await windows.browse(stack.admin)).new_page()
    await page.route("**/v1/ops/margin*", answer)
    await page.goto("/margin")
    await expect(page.locator("#margin")).to_have_text("−$2.50")
    await expect(page.locator("#cost-note")).to_have_text("$4.00 assumed · $0.50 reported")
    await expect(page.locator("#unknown")).to_have_text(
        "3 generations have no known cost: give the models a cost in the rate card. What 5 credits are worth is not "
        "known: they count as 0."
    )
    row = page.locator("#groups tbody tr", has_text="FLUX dev")
    await expect(row.locator(".badge.warn")).to_have_text("+6.7 %")
    await expect(row.locator(".bad-text")).to_have_text("−$3.00")
    names = page.locator("#groups tbody th")
    await expect(names).to_have_text(["Veo 3.1", "FLUX dev", "gone-model"])  # the highest revenue first
    for head, first in (("Losses", "gone-model"), ("Generations", "FLUX dev"), ("Drift", "Veo 3.1")):
        await page.locator("#groups").get_by_role("button", name=head).click()
        await expect(page.locator("#groups tbody th").first).to_have_text(first)
        await expect(page.locator("#groups").get_by_role("button", name=head)).to_be_focused()
    await page.locator("#groups").get_by_role("button", name="Drift").click()
    await expect(page.locator("#groups tbody th").first).to_have_text("FLUX dev")
    await check_appearance(page)
    await page.get_by_role("radio", name="Provider").check(force=True)
    await expect(page.locator("#groups tbody th")).to_have_text(["sandbox"])
    await expect(page).to_have_url(f"{stack.address}/margin?by=provider")


async def test_days_without_generations_say_so(stack: Stack, windows: Windows) -> None:
    day = datetime.now(UTC).date() - timedelta(days=60)
    page = await windows.open(f"/margin?from={day}&to={day}", stack.admin)
    await expect(page.locator("#empty")).to_have_text("No generation ended in these days.")
    await expect(page.locator("#groups")).to_be_hidden()
    await expect(page.locator("#revenue")).to_have_text("$0.00")
    await check_appearance(page)


async def test_only_roles_that_see_money_are_led_there(stack: Stack, windows: Windows) -> None:
    for scope, sees in (("support", False), ("billing", True)):
        key = stack.call("POST", "/v1/admin/keys", stack.admin, {"scope": scope, "label": scope})["key"]
        page = await windows.open("/accounts", key)
        await expect(page.locator("#who")).to_have_text(f"{scope} key")
        await expect(page.get_by_role("link", name="Margin")).to_have_count(1 if sees else 0)
        await page.goto("/margin")
        if sees:
            await expect(page.locator("#groups-heading")).to_have_text("By model")
        else:
            await expect(page.locator("#main")).to_contain_text(re.compile("This page .* (billing|admin)"))
            await windows.noted("403")
    page = await windows.open("/margin", stack.account())
    await expect(page.locator("#main")).to_contain_text("This page is for operators.")
    await check_appearance(page)


async def answer(route: Route) -> None:
    """As the API would: a model with drift and losses, one that earns, and one that is on the rate card no more."""
    if "group_by=day" in route.request.url:
        rows = [sums(day=f"2026-11-{day:02}", revenue=f"{day}.5") for day in (1, 2, 5)]
    elif "group_by=provider" in route.request.url:
        rows = [sums(provider="sandbox")]
    else:
        drift = {"reported": "0.500000", "assumed": "0.468750", "percent": 6.67, "flagged": True}
        rows = [
            sums(model="flux-dev", revenue="1.0", cost="4.0", margin="-3.0", losses="2.5", reported="0.5", drift=drift),
            sums(model="veo-3.1", revenue="1.5", cost="0.5", margin="1.0", losses="0.1"),
            sums(model="gone-model", generations=300, unknown={"credits": 5, "generations": 3}),
        ]
    whole = sums(margin="-2.5", cost="4.5", reported="0.5", unknown={"credits": 5, "generations": 3})
    zone = {"currency": "USD", "timezone": "UTC", "first_day": "2026-11-01", "last_day": "2026-11-05"}
    await route.fulfill(json={"data": rows, "totals": whole, **zone})


def sums(**given: Any) -> dict[str, Any]:
    return {
        "generations": 12,
        "credits": 73.5,
        "revenue": "0.000000",
        "revenue_by_bucket": {"free": "0.000000", "subscription": given.get("revenue", "0.0"), "top_up": "0.250000"},
        "cost": "4.000000",
        "margin": "0.000000",
        "assumed": "4.000000",
        "reported": "0.000000",
        "losses": "0.000000",
        "unknown": {"credits": 0, "generations": 0},
        "drift": {"reported": "0.000000", "assumed": "0.000000", "percent": None, "flagged": False},
        **given,
    }
