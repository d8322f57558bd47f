"""Accounts and the audit log: support finds an account by what it is told; every change has its reason and entry."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Account, Stack


def with_email(stack: Stack, account: Account) -> str:
    email = f"{account.name}@example.com"
    stack.call("PUT", f"/v1/admin/accounts/{account.name}", stack.admin, {"email": email})
    return email


async def find(page: Page, text: str) -> None:
    await page.get_by_role("searchbox").fill(text)
    await page.get_by_role("button", name="Find").click()


def section(page: Page, heading: str) -> Locator:
    return page.locator("section", has=page.get_by_role("heading", name=heading, exact=True))


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


async def act(page: Page, action: str, **values: str) -> Locator:
    """Open an action and fill in its form, all but the reason."""
    await page.get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    for label, value in values.items():
        await dialog.get_by_label(label).fill(value)
    return dialog


async def do(dialog: Locator, verb: str, reason: str) -> None:
    await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_role("button", name=verb, exact=True).click()
    await expect(dialog).to_have_count(0)


async def test_support_changes_an_account_with_a_reason_after_it_has_seen_what_changes(
    stack: Stack, windows: Windows
) -> None:
    account = stack.account(plan="standard")
    email, ended = with_email(stack, account), stack.ended(account)
    hanging = stack.generate(account, model="z-image-turbo", sandbox={"hang": True})
    page = await windows.open("/accounts", stack.admin)
    await find(page, email)
    await expect(page).to_have_url(re.compile(rf"account={account.name}&q="))
    await expect(page.get_by_role("heading", name=email)).to_be_visible()
    await expect(section(page, "Open generations").locator("tbody tr")).to_contain_text(["Z-Image Turbo"])
    for generation in (ended, hanging):
        link = section(page, "Latest generations").locator(f'a[href="/generations/{generation["id"]}"]')
        await expect(link).to_have_count(1)
    dialog = await act(page, "Grant credits", Credits="500")
    await expect(dialog.get_by_role("row", name="Top-up available")).to_have_text("Top-up available0500")
    await expect(dialog.get_by_role("row", name="Available in all")).to_have_text("Available in all8,0908,590")
    await check_appearance(page)
    await do(dialog, "Grant", "sorry for the outage")
    await expect(page.locator("#done")).to_contain_text(f"Granted 500 credits to {account.name}.")
    await expect(section(page, "Journal").locator("tbody tr").first).to_contain_text("sorry for the outage")
    logged = section(page, "Audit log").locator("tbody tr").first
    await expect(logged).to_contain_text("top up available 0 → 500")
    dialog = await act(page, "Adjust", Credits="-500.001")
    await expect(dialog).to_contain_text("Only 500 credits can be taken from this bucket.")
    await expect(dialog.get_by_role("button", name="Adjust", exact=True)).to_be_disabled()
    await dialog.get_by_label("Credits").fill("-120")
    await do(dialog, "Adjust", "granted too much")
    await expect(page.locator(".tile", has_text="Top-up")).to_contain_text("380")
    await do(await act(page, "Pause"), "Pause", "looking into a chargeback")
    await expect(page.locator("#account .badge.bad")).to_have_text("paused")
    await do(await act(page, "Resume"), "Resume", "it was the wrong account")
    await expect(page.locator("#account .badge")).to_have_count(0)
    await do(await act(page, "Advance the clock", Days="2"), "Advance", "shows a reset")
    await expect(page.locator("#account .badge.warn")).to_contain_text("test clock +2 days")
    journal = section(page, "Journal")
    await journal.get_by_label("Kind").select_option("adjust")
    await expect(journal.locator("tbody tr")).to_have_count(1)
    async with page.expect_download() as download:
        await journal.get_by_role("button", name="CSV").click()
    (row,) = rows_of(await (await download.value).path())
    assert (row["kind"], row["reason"]) == ("adjust", "granted too much")
    await check_appearance(page)
    await the_log_has_it(page, stack, account)
    stack.call("POST", f"/v1/generations/{hanging['id']}/cancel", account.key, {})


async def the_log_has_it(page: Page, stack: Stack, account: Account) -> None:
    """From what was done to its entry, by call, and again after a reload."""
    await page.get_by_role("link", name="See the audit log").click()
    await expect(page).to_have_url(f"{stack.address}/audit-log?account={account.name}")
    await expect(page.locator("#entries tbody tr").first).to_contain_text("shows a reset")
    await page.get_by_label("What").select_option(label="Adjust credits")
    await expect(page.locator("#entries tbody tr")).to_have_count(1)
    await expect(page.locator("#entries tbody tr")).to_contain_text("500 → 380")
    await expect(page).to_have_url(re.compile("action=adjustCredits"))
    await check_appearance(page)
    await page.reload()
    await expect(page.locator("#entries tbody tr")).to_contain_text(["granted too much"])


async def test_a_plan_and_a_key_are_changed(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="basic")
    member = {"name": "Ada Lovelace", "limit": {"credits": 50, "period": "daily"}}
    stack.call("POST", f"/v1/admin/accounts/{account.name}/members", stack.admin, member)
    page = await windows.open(f"/accounts?account={account.name}", stack.admin)
    await expect(section(page, "Members").locator("tbody tr")).to_contain_text("50 a day, 50 left")
    dialog = await act(page, "Change plan")
    await expect(dialog).to_contain_text("It has this plan and interval already.")
    await dialog.get_by_label("Plan").select_option(label="Standard")
    await dialog.get_by_label("Interval").select_option("yearly")
    for row in ("PlanBasicStandard", "Price$13.00 monthly$252.00 yearly", "Credits a month3,0008,000"):
        await expect(dialog.get_by_role("row", name=re.compile("^(Plan|Price|Credits)"))).to_contain_text([row])
    await do(dialog, "Change the plan", "paid by bank transfer")
    await expect(page.locator("#account")).to_contain_text("Standard, yearly")
    dialog = await act(page, "New key", Label="till in Leeds")
    await dialog.get_by_label("Reason").fill("lost theirs")
    await dialog.get_by_role("button", name="Create the key").click()
    key = await page.get_by_role("dialog", name="The new key").locator("code").inner_text()
    assert stack.call("GET", "/v1/key", key)["label"] == "till in Leeds"
    await page.keyboard.press("Escape")
    await do(await act(page, "Revoke till in Leeds"), "Revoke", "it was for another")
    await expect(section(page, "Keys").locator("tbody tr")).to_have_count(1)
    log = stack.call("GET", f"/v1/admin/audit-log?account={account.name}&limit=3", stack.admin)["data"]
    reasons = [(one["action"], one["reason"]) for one in log]
    assert reasons == [
        ("revokeAccountKey", "it was for another"),
        ("createAccountKey", "lost theirs"),
        ("changeAccountSubscription", "paid by bank transfer"),
    ]
    await page.goto(f"/usage?account={account.name}")  # a page of the account's own key
    await page.get_by_role("link", name=f"Account {account.name}").click()
    await expect(page.locator("#account-heading")).to_have_text(account.name)


async def test_whatever_is_quoted_leads_to_its_account(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="basic")
    generation = stack.ended(account)["id"]
    checkout = stack.call("POST", "/v1/top-ups", account.key, {"bundle": "small"})["id"]
    key = stack.call("GET", "/v1/key", account.key)["id"]
    page = await windows.open("/accounts", stack.admin)
    for quoted in (generation, checkout, key):
        await find(page, quoted)
        await expect(page.locator("#account-heading")).to_have_text(account.name)
        await expect(page.locator("#account tr.found")).to_have_count(1)
    await find(page, "nobody@example.com")
    await expect(page.locator("#nothing")).to_contain_text("Nothing has this id or email.")
    await page.go_back()
    await expect(page.locator("#account tr.found")).to_have_count(1)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await find(page, account.key)
    await expect(page.locator("#nothing")).to_contain_text("This is an API key itself")
    assert [url for url in asked if account.key in url] == [], "a key is in no URL, which others log"


async def test_a_role_is_offered_what_it_may_do(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    for role, offered in (("viewer", []), ("support", ["Grant credits", "Adjust"])):
        key = stack.call("POST", "/v1/admin/keys", stack.admin, {"scope": role})["key"]
        page = await windows.open(f"/accounts?account={account.name}", key)
        await expect(page.locator("#account-heading")).to_have_text(account.name)
        buttons = page.locator("section", has=page.locator("#account-heading")).locator("button:not(.copy)")
        await expect(buttons).to_have_text(offered)
        await expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    ops = stack.call("POST", "/v1/admin/keys", stack.admin, {"scope": "ops"})["key"]
    page = await windows.open("/accounts", ops)
    await find(page, account.name)
    await expect(page.locator("#complaint")).to_contain_text("role")
    await windows.noted("403")
