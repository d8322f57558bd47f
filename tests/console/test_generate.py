from __future__ import annotations

import asyncio
import json

import pytest
from playwright.async_api import Response, Route, expect

from tests.console.pages import Windows, check_appearance, choose, imported, notify_missed, settle
from tests.console.stack import Stack

PROMPT = "A lighthouse on a cliff at dusk"


async def test_a_newcomer_sees_a_price_an_empty_list_and_can_begin(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/", stack.account())
    await expect(page.get_by_role("button", name="Generate · 5 credits")).to_be_enabled()
    await expect(page.locator("#no-work")).to_be_visible()
    await expect(page.locator("#quote")).to_contain_text("5 of 100")
    await expect(page.locator("#quote")).to_contain_text("Left afterwards95 credits")
    await check_appearance(page)
    await page.get_by_role("button", name="Generate · 5 credits").click()
    await expect(page.locator("#prompt-problem")).to_have_text("Enter a prompt.")
    await expect(page.get_by_label("Prompt", exact=True)).to_be_focused()


async def test_the_sum_is_written_out_with_who_pays_and_what_is_left(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard", top_up=500)
    page = await windows.open("/", account)
    await choose(page, "Nano Banana 2")
    await page.get_by_role("radio", name="2K").check(force=True)
    await page.get_by_role("radiogroup", name="Outputs").get_by_role("radio", name="2").check(force=True)
    quote = page.locator("#quote")
    await expect(quote).to_contain_text("73.5 × 2 outputs = 147")
    await expect(quote).to_contain_text("Free100 of 100")
    await expect(quote).to_contain_text("Subscription47 of 8,000")
    await expect(quote).to_contain_text("Left afterwards8,453 credits")
    await expect(page.get_by_role("button", name="Generate · 147 credits")).to_be_visible()

    async def as_a_ceiling(route: Route) -> None:
        line = {"label": "up to 10 s", "credits": 7.35, "count": 20, "total": 147, "unit": "seconds"}
        answer = await (await route.fetch()).json()
        await route.fulfill(json=answer | {"at_most": True, "lines": [line]})

    await page.route("**/v1/quotes", as_a_ceiling)
    await page.get_by_role("radio", name="4K").check(force=True)
    await expect(page.get_by_role("button", name="Generate · up to 196 credits")).to_be_visible()
    await expect(quote).to_contain_text("up to 10 s7.35 × 20 = 147")
    await expect(quote).to_contain_text("Left at least8,404 credits")


async def test_a_price_by_the_prompt_follows_what_is_typed(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/", stack.account(top_up=500))
    await page.get_by_role("radio", name="Audio").check(force=True)
    await choose(page, "GPT-4o mini TTS")
    await page.get_by_label("Prompt", exact=True).fill("x" * 1000)
    await page.get_by_role("button", name="Generate · 20 credits").click()
    await expect(page.locator(".card-of-work").first).to_contain_text("charged 20")


async def test_a_pro_model_is_locked_with_the_reason_and_the_way_to_open_it(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/", stack.account(top_up=500))
    await choose(page, "Nano Banana 2")
    await expect(page.locator(".locked")).to_contain_text("Requires a subscription")
    pressed = page.get_by_role("button", name="Generate · 49 credits")
    await expect(pressed).to_have_attribute("aria-disabled", "true")
    await check_appearance(page)
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    await pressed.click(force=True)
    await expect(page.get_by_role("link", name="See the plans")).to_be_focused()
    await expect(page.locator("#no-work")).to_be_visible()


async def test_short_of_credits_the_three_ways_out_are_shown(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="basic", free=False)
    page = await windows.open("/", account)
    await page.get_by_role("radio", name="Video").check(force=True)
    await choose(page, "Veo 3.1")
    stack.call(
        "POST",
        f"/v1/admin/accounts/{account.name}/adjustments",
        stack.admin,
        {"bucket": "subscription", "credits": -2990, "reason": "a test"},
    )
    ways = page.get_by_role("region", name="Ways to get the credits")
    await expect(ways).to_contain_text("short")
    for way in ("Wait", "Top up", "Larger plan"):
        await expect(ways.get_by_role("heading", name=way)).to_be_visible()
    await expect(ways.get_by_role("button", name="Buy · $5.00")).to_be_visible()
    await expect(ways).to_contain_text("Free: back to 100")
    await check_appearance(page)


async def test_a_generation_is_followed_to_its_charge_and_survives_a_reload(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/", account)
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    await page.get_by_role("button", name="Generate · 5 credits").click()
    card = page.locator(".card-of-work")
    await expect(card).to_contain_text("charged 5")
    await expect(card.locator("img")).to_have_attribute("alt", PROMPT)
    await expect(page.get_by_role("button", name="95 credits")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    await expect(page.locator(".card-of-work")).to_contain_text("charged 5")
    await page.locator(".picture").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Receipt")
    await expect(dialog.get_by_role("row", name="Held · ")).to_contain_text("−5")
    await check_appearance(page)
    async with page.expect_download() as saved:
        await dialog.get_by_role("link", name="Download").click()
    assert (await saved.value).suggested_filename.endswith("-0.png")
    await page.keyboard.press("Escape")
    await expect(page.locator(".picture")).to_be_focused()


async def test_a_double_click_is_one_generation(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/", account)
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    await page.get_by_role("button", name="Generate · 5 credits").dblclick()
    await expect(page.locator(".card-of-work")).to_contain_text("charged 5")
    assert len(stack.call("GET", "/v1/generations", account.key)["data"]) == 1
    await page.get_by_role("button", name="Generate · 5 credits").click()  # a new press is a new one
    await expect(page.locator(".card-of-work")).to_have_count(2)


async def test_an_answer_lost_in_a_reload_is_asked_for_again_and_made_once(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    browser = await windows.browse(account)
    page = await browser.new_page()
    await page.goto("/")
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    await expect(page.get_by_role("button", name="Generate · 5 credits")).to_be_enabled()

    async def accept_and_lose(route: Route) -> None:
        await route.fetch()  # the gateway accepts it, and the page never hears
        await page.unroute("**/v1/generations")
        await page.reload()

    await page.route("**/v1/generations", accept_and_lose)
    await page.get_by_role("button", name="Generate · 5 credits").click()
    await expect(page.locator(".card-of-work")).to_contain_text("charged 5")
    assert len(stack.call("GET", "/v1/generations", account.key)["data"]) == 1
    windows.allow("Failed to load resource")  # a request that the reload cut off


async def test_the_newest_is_first_in_whatever_order_word_of_them_arrives(stack: Stack, windows: Windows) -> None:
    """The first event of one may come after that of a later one: then it was shown above it."""
    account = stack.account()
    page = await windows.open("/", account)
    made = [stack.generate(account, model="imagineart-2.0", sandbox={"hang": True})["id"] for _ in range(3)]
    cards = page.locator(".card-of-work")
    await expect(cards).to_have_count(3)
    await page.evaluate(
        f"""async () => {{
            const {{ showInOrder }} = {imported("cards")};
            const list = document.getElementById("work");
            const shown = [...list.querySelectorAll(".card-of-work")];
            for (const root of [shown[1], shown[2], shown[0]]) root.remove();
            for (const root of [shown[1], shown[0], shown[2]]) showInOrder(list, {{ root }});
        }}"""
    )
    shown = [await cards.nth(number).get_attribute("data-id") for number in range(3)]
    assert shown == made[::-1]


async def test_one_in_work_is_shown_with_its_stage_and_cancelled(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/", account)
    for _ in range(3):  # the free plan has two images in work
        stack.generate(account, model="imagineart-2.0", sandbox={"hang": True})
    cards = page.locator(".card-of-work")
    await expect(cards).to_have_count(3)
    await expect(cards.nth(0)).to_contain_text("Waiting: as many are in work as your plan allows")
    await expect(cards.nth(2)).to_contain_text("Running")
    await expect(cards.nth(2)).to_contain_text("25 held")
    await expect(page.get_by_role("button", name="25 credits · 75 held")).to_be_visible()
    await check_appearance(page)
    await cards.nth(2).get_by_role("button", name="Cancel").click()
    await expect(cards.nth(2)).to_contain_text("25 returned, nothing charged")
    await expect(cards.nth(0)).to_contain_text("Running")  # promoted
    await expect(page.locator("#announcement")).not_to_be_empty()


async def test_an_answer_that_comes_after_the_end_does_not_undo_it(stack: Stack, windows: Windows) -> None:
    """The worker had stopped, and the page had heard so, before the answer to the cancel was there: it said "running",
    and the card said "Stopping" forever."""
    account = stack.account()
    page = await windows.open("/", account)
    stack.generate(account, model="imagineart-2.0", sandbox={"hang": True})
    card = page.locator(".card-of-work")
    await expect(card).to_contain_text("Running")

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        assert (await answer.json())["status"] == "running"
        await expect(card).to_contain_text("25 returned, nothing charged")
        await route.fulfill(response=answer)

    await page.route("**/cancel", answer_late)
    async with page.expect_response("**/cancel") as answered:
        await card.get_by_role("button", name="Cancel").click()
    await (await answered.value).finished()
    await settle(page)
    await expect(card).to_contain_text("25 returned, nothing charged")


async def test_an_answer_that_comes_after_the_start_does_not_undo_it(stack: Stack, windows: Windows) -> None:
    """It was running, and the page had heard so, before the answer to the press was there: it said "queued"."""
    page = await windows.open("/", stack.account())
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    card = page.locator(".card-of-work")

    async def answer_late(route: Route) -> None:
        body = route.request.post_data_json
        assert body is not None
        answer = await route.fetch(post_data=json.dumps(body | {"sandbox": {"hang": True}}))
        assert (await answer.json())["status"] == "queued"
        await expect(card).to_contain_text("Running")
        await route.fulfill(response=answer)

    await page.route("**/v1/generations", answer_late)
    async with page.expect_response("**/v1/generations") as answered:
        await page.get_by_role("button", name="Generate · 5 credits").click()
    await (await answered.value).finished()
    await expect(page.locator("#announcement")).to_have_text("Accepted: 5 credits held")
    await expect(card).to_contain_text("Running")


@pytest.mark.parametrize("path", ["/", "/gallery"])
async def test_a_list_that_comes_after_an_event_does_not_undo_it(stack: Stack, windows: Windows, path: str) -> None:
    """The list is read again after a break; it was older than what events had said, and shown for good."""
    account = stack.account()
    made = [stack.generate(account, model="imagineart-2.0", sandbox={"hang": True}) for _ in range(3)]
    page = await windows.open(path, account)
    last = page.locator(f"[data-id={made[2]['id']}]")
    await expect(last).to_contain_text("Waiting")
    answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        stack.call("POST", f"/v1/generations/{made[0]['id']}/cancel", account.key, {})
        await expect(last).to_contain_text("Running")
        await route.fulfill(response=answer)
        answered.set_result(await route.request.response())

    await page.route("**/v1/generations?*", answer_late, times=1)
    await notify_missed(page)
    late = await answered  # and not another read's answer, as of a page that has just connected
    assert late is not None
    await late.finished()
    await settle(page)
    assert "Running" in await last.inner_text()


async def test_a_failed_one_says_why_and_that_the_credits_came_back(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/", account)
    stack.generate(account, sandbox={"fail": "moderated"})
    card = page.locator(".card-of-work")
    await expect(card).to_contain_text("Nothing was charged: all 5 credits were returned.")
    await expect(card).to_contain_text("The model provider's content policy")
    await check_appearance(page)
    await card.get_by_role("link", name="Run again").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a fox in the snow")
    await expect(page.get_by_role("button", name="Generate · 5 credits")).to_be_enabled()


async def test_a_balance_that_changes_before_a_model_is_chosen_asks_for_no_price(
    stack: Stack, windows: Windows
) -> None:
    """It asked for the price of nothing, which is refused; a busy machine reads the rate card late."""
    account = stack.account()
    page = await (await windows.browse(account)).new_page()
    go_on, quoted = asyncio.Event(), []

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route("**/v1/rate-card", hold)
    page.on("request", lambda request: quoted.append(request.post_data_json) if "/v1/quotes" in request.url else None)
    await page.goto("/")
    await expect(page.locator("#balance")).to_have_text("100 credits")
    stack.grant(account, 7)
    await expect(page.locator("#balance")).to_have_text("107 credits")
    assert await page.locator("#quote").get_attribute("aria-busy") is None, "it waits for a price"
    go_on.set()
    await expect(page.get_by_role("button", name="Generate · 5 credits")).to_be_enabled()
    assert all("model" in asked for asked in quoted)


async def test_a_page_that_cannot_read_says_so(stack: Stack, windows: Windows) -> None:
    browser = await windows.browse(stack.account())
    page = await browser.new_page()
    error = {"error": {"code": "ledger_unavailable", "message": "The ledger is not responding."}}
    refusal = {"status": 503, "content_type": "application/json", "body": json.dumps(error)}
    await page.route("**/v1/rate-card", lambda route: route.fulfill(**refusal))
    await page.goto("/")
    await expect(page.get_by_role("alert").first).to_contain_text("The ledger is not responding.")
    await page.route("**/session", lambda route: route.abort())  # or it starts again while it is looked at
    await check_appearance(page)
    windows.allow("Failed to load resource")
