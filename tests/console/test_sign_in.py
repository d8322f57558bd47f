from __future__ import annotations

import re

from playwright.async_api import expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack


async def test_a_key_signs_in_and_leads_to_the_page_that_was_asked_for(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/gallery?status=failed", None)
    await page.wait_for_url("**/sign-in?to=*")
    await expect(page.get_by_label("API key")).to_be_focused()
    await check_appearance(page)
    await page.get_by_label("API key").fill(f" {account.key} ")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/gallery?status=failed")
    await expect(page.get_by_role("button", name="100 credits")).to_be_visible()


async def test_a_wrong_key_is_said_and_the_field_keeps_the_focus(windows: Windows) -> None:
    page = await windows.open("/sign-in", None)
    await page.get_by_label("API key").fill("fbx_wrong")
    await expect(page.get_by_label("API key")).to_have_attribute("type", "password")
    await page.get_by_label("Show the key").check()
    await expect(page.get_by_label("API key")).to_have_attribute("type", "text")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("invalid or was revoked")
    await expect(page.get_by_label("API key")).to_be_focused()
    await check_appearance(page)
    await windows.noted("401")
    assert len(windows.problems) == 1


async def test_a_link_signs_in_once_and_leaves_no_trace_in_the_address(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    link = stack.call("POST", "/v1/sign-in-links", account.key, {})["url"]
    page = await windows.open(link, None)
    await page.wait_for_url(f"{stack.address}/")
    await expect(page.locator("#who")).to_have_text(account.name)
    again = await windows.open(link, None)
    await expect(again.get_by_role("alert")).to_contain_text("has already been used")
    await expect(again).to_have_url(re.compile("^[^#]*$"))
    await windows.noted("401")


async def test_signing_out_closes_every_tab(stack: Stack, windows: Windows) -> None:
    browser = await windows.browse(stack.account())
    pages = [await browser.new_page() for _ in range(2)]
    for page in pages:
        await page.goto("/gallery")
        await expect(page.get_by_role("button", name="100 credits")).to_be_visible()
    await pages[0].get_by_role("button", name="Sign out").click()
    for page in pages:
        await page.wait_for_url("**/sign-in?to=*")


async def test_an_operator_is_led_to_operations_and_sees_no_balance(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/sign-in", stack.admin)
    await page.wait_for_url("**/operations")


async def test_an_address_of_another_host_is_not_gone_to(stack: Stack, windows: Windows) -> None:
    """The path of `/.//elsewhere.example/` is `//elsewhere.example/`, and that an address of another host."""
    for to in ("https://elsewhere.example/", "//elsewhere.example/", "/.//elsewhere.example/"):
        page = await windows.open(f"/sign-in?to={to}", stack.admin)
        await page.wait_for_url(lambda url: "/sign-in" not in url)
        assert page.url.startswith(stack.address), to
    windows.allow("404")
