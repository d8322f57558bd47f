"""A generation's page, and the dialog with its address: to read, copy, print, and to lead to from every id."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack


async def test_a_dialog_has_the_address_of_the_page_and_gives_it_back(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    older, newer = (stack.ended(account, prompt=prompt)["id"] for prompt in ("An older one", "A newer one"))
    page = await windows.open("/gallery?tool=image", account)
    await page.get_by_role("link", name="Details: A newer one").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(newer)
    await expect(page).to_have_url(f"{stack.address}/generations/{newer}")
    await dialog.get_by_role("button", name="Older").click()
    await expect(dialog).to_contain_text(older)
    await expect(page).to_have_url(f"{stack.address}/generations/{older}")
    await page.keyboard.press("Escape")
    await page.wait_for_url("**/gallery?tool=image")
    await page.go_forward()
    await page.reload()
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    await expect(page.locator("#generation")).to_contain_text(older)


async def test_it_is_read_copied_and_printed_on_one_page(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="basic")
    made = stack.ended(
        account, model="nano-banana-2", outputs=2, prompt="it's " * 400, metadata={"order": "A-17"},
        settings={"resolution": "2K"},
    )  # fmt: skip
    page = await windows.open(f"/generations/{made['id']}", account)
    shown = page.locator("#generation")
    await expect(shown.get_by_role("list").get_by_role("listitem")).to_contain_text(["Created", "Started", "Succeeded"])
    await expect(shown).to_contain_text("charged 147 (from 100 free, 47 subscription)")
    await expect(shown.get_by_role("row", name="Charged 147")).to_contain_text("was held")
    await expect(shown).to_contain_text("orderA-17")
    await shown.get_by_text("Request as JSON and curl").click()
    await check_appearance(page)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await shown.get_by_role("button", name="Copy the id").click()
    assert await page.evaluate("() => navigator.clipboard.readText()") == made["id"]
    await shown.get_by_role("button", name="Copy the request as curl").click()
    curl = await page.evaluate("() => navigator.clipboard.readText()")
    assert f"{stack.address}/v1/generations" in curl
    assert r"it'\''s" in curl
    pages = len(re.findall(rb"/Type\s*/Page\b", await page.pdf(format="A4")))
    assert pages == 1, f"a receipt takes {pages} sheets"
    await page.emulate_media(media="print")
    for printed in (f"account {account.name}", "73.5 × 2 outputs = 147", "Charged 147"):
        await expect(shown.get_by_text(printed).first).to_be_visible()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()


async def test_an_operator_sees_who_makes_it_and_a_wrong_address_leads_back(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    made = stack.generate(account, sandbox={"hang": True})["id"]
    page = await windows.open(f"/generations/{made}", stack.admin)
    await expect(page.locator("#generation")).to_contain_text("Providersandbox")
    await expect(page.locator("#generation")).to_contain_text(account.name)
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    stack.call("POST", f"/v1/generations/{made}/cancel", account.key, {})
    await expect(page.locator("#generation")).to_contain_text("nothing charged")
    assert "work" not in stack.call("GET", f"/v1/generations/{made}", account.key)
    await page.goto(f"/generations/{made[:-1]}")
    await expect(page.locator("#missing")).to_contain_text("There is no generation")
    await page.goto("/gallery")
    await expect(page.locator("main")).to_contain_text("For operators: Accounts")
    await page.goto("/galery")
    await page.get_by_role("link", name="API").click()
    await page.wait_for_url("**/docs")
    windows.allow("404")  # the browser notes by itself what is not there
