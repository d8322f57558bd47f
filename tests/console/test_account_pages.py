"""What an account manages by itself: keys, members, its journal, its purchases."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from playwright.async_api import expect

from tests.console.pages import Windows, check_appearance, pay
from tests.console.stack import Account, Stack


def owner_of(stack: Stack, account: Account) -> Account:
    """The account's first member, with a key of their own."""
    path = f"/v1/admin/accounts/{account.name}"
    member = stack.call("POST", f"{path}/members", stack.admin, {"name": "Olga"})["id"]
    made = stack.call("POST", f"{path}/keys", stack.admin, {"member": member, "label": "Olga's"})
    return Account(account.name, made["key"])


async def test_a_key_is_made_limited_rotated_and_revoked(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/keys", account)
    await expect(page.locator("#no-role")).to_be_visible()
    await expect(page.get_by_role("button", name="New key")).to_have_count(0)
    page = await windows.open("/keys", owner_of(stack, account))
    keys = page.locator("#keys")
    await expect(keys).to_contain_text("this session")
    await page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Label").fill("shop")
    await dialog.get_by_label("Limit, in credits").fill("12.5")
    await dialog.get_by_text("What it may be used for").click()
    await dialog.get_by_label("Tools").select_option("image")
    await check_appearance(page)
    await dialog.get_by_role("button", name="Create the key").click()
    made = await page.get_by_role("dialog", name="The new key").locator("code").inner_text()
    assert stack.call("GET", "/v1/key", made)["limit"] == {"credits": 12.5, "period": "monthly"}
    await page.keyboard.press("Escape")
    row = keys.get_by_role("row", name="shop")
    await expect(row).to_contain_text("12.5 a month")
    await expect(row).to_contain_text("image")
    await row.get_by_role("button", name="Edit: shop").click()
    await dialog.get_by_label("Limit, in credits").fill("")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("none")
    await row.get_by_role("button", name="Rotate: shop").click()
    await dialog.get_by_role("button", name="Create the new key").click()
    await expect(page.get_by_role("dialog", name="The new key").locator("code")).to_contain_text("fbx_")
    await page.keyboard.press("Escape")
    await expect(row).to_have_count(2)
    await row.filter(has_text="image").first.get_by_role("button", name="Revoke").click()
    await dialog.get_by_role("button", name="Revoke the key").click()
    await expect(row).to_have_count(1)
    await check_appearance(page)


async def test_a_member_is_added_invited_and_removed(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/members", owner_of(stack, account))
    members, dialog = page.locator("#members"), page.get_by_role("dialog")
    for name in ("Ada", "Grace"):
        await page.get_by_role("button", name="Add a member").click()
        await dialog.get_by_label("Name").fill(name)
        if name == "Ada":
            await dialog.get_by_label("Role").select_option("admin")
        await dialog.get_by_role("button", name="Add").click()
        await expect(page.get_by_role("dialog", name=f"Invite {name}")).to_be_visible()
        if name == "Ada":
            await page.keyboard.press("Escape")
    await dialog.get_by_role("button", name="Create the link").click()
    link = await page.get_by_role("dialog", name="The invitation").locator("code").inner_text()
    await check_appearance(page)
    await page.keyboard.press("Escape")
    browser = await windows.browse(None)
    guest = await browser.new_page()
    await guest.goto(link)
    await guest.wait_for_url(f"{stack.address}/")
    await expect(guest.locator("#who")).to_have_text(account.name)
    await guest.goto("/members")  # who may not see the others
    await expect(guest.locator("#no-role")).to_be_visible()
    await expect(guest.locator("#members, #complaint")).to_have_count(0)
    await guest.goto("/keys")
    await expect(guest.locator("main")).to_contain_text("may see this page. Your role is member.")
    await expect(guest.locator("#keys, #complaint")).to_have_count(0)
    await guest.close()  # one that is open goes to sign-in by itself, and would cut off where it is sent
    await members.get_by_role("row", name="Grace").get_by_role("button", name="Remove").click()
    await dialog.get_by_role("button", name="Remove", exact=True).click()
    await expect(members.get_by_role("row", name="Grace")).to_contain_text("removed")
    guest = await browser.new_page()
    await guest.goto("/gallery")
    await guest.wait_for_url("**/sign-in?to=*")
    await check_appearance(page)
    windows.allow("401", "403")  # the guest's browser notes by itself what it was refused


async def test_the_journal_is_filtered_and_saved_and_a_purchase_has_a_receipt(
    stack: Stack, windows: Windows, tmp_path: Path
) -> None:
    account = stack.account(plan="basic")
    made = stack.ended(account)["id"]
    stack.grant(account, 7)
    page = await windows.open("/journal", account)
    rows = page.locator("#journal tbody tr")
    await expect(rows.first).to_contain_text("Granted")
    await expect(page.get_by_role("row", name="Charged 5")).to_contain_text("was held")
    await check_appearance(page)
    async with page.expect_download() as download:
        await page.get_by_role("button", name="CSV").click()
    await (await download.value).save_as(tmp_path / "journal.csv")
    saved = list(csv.DictReader(io.StringIO((tmp_path / "journal.csv").read_text())))
    await expect(rows).to_have_count(len(saved))
    await page.get_by_label("Kind").select_option("commit")
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"/journal\?kind=commit$"))
    await page.reload()
    await expect(rows).to_have_count(1)
    await rows.get_by_role("link", name=f"Generation {made}").click()
    await page.wait_for_url(f"**/generations/{made}")
    await page.goto("/purchases")
    await expect(page.locator("#purchases")).to_contain_text("Nothing was bought yet.")
    bought = stack.call("POST", "/v1/top-ups", account.key, {"bundle": "small"})
    await page.goto(bought["checkout_url"])
    await pay(page)
    await page.goto("/purchases")
    await page.get_by_role("button", name="Receipt").click()
    await expect(page.get_by_role("dialog")).to_contain_text("$5.00 (USD)")
    await check_appearance(page)


async def test_alerts_show_what_is_reached_and_who_is_told_by_a_test_accounts_clock(
    stack: Stack, windows: Windows
) -> None:
    account = stack.account()
    page = await windows.open("/alerts", account)
    await expect(page.locator("#no-plan")).to_be_visible()
    await expect(page.locator("#told")).to_contain_text("No webhook receives credits.low or credits.exhausted.")
    path = f"/v1/admin/accounts/{account.name}"
    stack.call("PUT", f"{path}/subscription", stack.admin, {"plan": "basic", "interval": "monthly"})
    stack.call("POST", f"{path}/clock", stack.admin, {"advance_seconds": 26 * 86400})
    hook = {"url": "https://example.com/farebox", "events": ["credits.low"]}
    stack.call("POST", "/v1/webhooks", account.key, hook)
    await page.reload()
    await expect(page.locator("#clock")).to_have_text("Test account: its clock is 26 days ahead.")
    await expect(page.locator("#told")).to_contain_text("https://example.com/fareboxcredits.low")
    await page.get_by_label("Add a threshold").fill("90")
    await page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name="90 %")
    await expect(row).to_contain_text("2,700")
    adjustment = {"bucket": "subscription", "credits": -400, "reason": "a test"}
    stack.call("POST", f"{path}/adjustments", stack.admin, adjustment)
    await expect(row).to_contain_text("reached")
    await expect(row).to_contain_text("2,700 credits left")
    await check_appearance(page)
    await page.get_by_role("button", name="Remove 90 %").click()
    await expect(row).to_have_count(0)
    await page.goto("/journal?kind=alert")
    await expect(page.get_by_role("columnheader", name="When, by the test clock")).to_be_visible()
