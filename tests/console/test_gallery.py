from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.async_api import Route, expect

from tests.console.pages import Windows, check_appearance, note_events, settle, until_notified
from tests.console.stack import Stack


async def test_an_empty_gallery_leads_to_the_first_generation(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/gallery", stack.account())
    await expect(page.get_by_role("link", name="Create the first one")).to_be_visible()
    await check_appearance(page)


async def test_every_result_has_its_cost_and_filters_find_it(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    first = stack.ended(account, prompt="A lighthouse at dusk", tags={"project": "apollo"})
    stack.ended(account, model="z-image-turbo", sandbox={"fail": "provider_rejected"})
    stack.ended(account, model="imagineart-2.0", outputs=2, sandbox={"fail": "provider_rejected", "deliver": 1})
    page = await windows.open("/gallery", account)
    cards = page.locator(".card-of-work")
    await expect(cards).to_have_count(3)
    await expect(cards.nth(0)).to_contain_text("1 of 2 outputs were delivered and charged (25 credits)")
    await expect(cards.nth(1)).to_contain_text("Nothing was charged: all 5 credits were returned.")
    await expect(cards.nth(2)).to_contain_text("charged 5")
    await expect(page.locator("#cards .day")).to_have_text("Today")
    await expect(cards.nth(0).locator(".badge")).to_have_count(0)  # some was delivered
    await expect(cards.nth(1).locator(".badge")).to_have_text("Failed")
    await expect(cards.nth(1).get_by_text("returned")).to_have_count(1)  # said once
    await check_appearance(page)
    await page.get_by_label("Search").fill("dusk PROJECT:apollo")
    await expect(cards).to_have_count(1)
    await expect(page).to_have_url(f"{stack.address}/gallery?q=dusk+PROJECT%3Aapollo")
    await page.get_by_label("Search").fill(first["id"])
    await page.wait_for_url(f"**/generations/{first['id']}")
    await page.go_back()
    await page.get_by_label("Search").fill("")
    await expect(cards).to_have_count(3)
    await page.get_by_label("State").select_option("failed")
    await expect(cards).to_have_count(1)
    await expect(page).to_have_url(f"{stack.address}/gallery?status=failed")
    await page.get_by_label("Model").select_option("flux-dev")
    await expect(page.locator("#empty")).to_contain_text("No matching generations.")
    await page.reload()
    await expect(page.get_by_label("Model")).to_have_value("flux-dev")
    await expect(page.locator("#empty")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(cards).to_have_count(3)
    await page.get_by_label("Tool").select_option("video")
    await expect(cards).to_have_count(0)
    await expect(page.get_by_label("Model").get_by_role("option", name="FLUX dev")).to_have_count(0)


async def test_audio_is_played_and_a_text_is_read_and_copied(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    tune = stack.ended(account, tool="audio", model="sound-effects", prompt="waves", settings={"duration": 3})
    stack.ended(account, tool="text", model="prompt-enhancer", prompt="a red bicycle")
    page = await windows.open("/gallery", account)
    cards = page.locator(".card-of-work")
    await expect(cards.nth(0).locator(".words")).to_contain_text("a red bicycle, ")
    await page.context.grant_permissions(["clipboard-write"])
    await cards.nth(0).get_by_role("button", name="Copy the text").click()
    await expect(cards.nth(0)).to_contain_text("Copied")
    player = cards.nth(1).locator("audio")
    await expect(player).to_have_js_property("duration", 3)
    await player.evaluate("async (player) => { player.muted = true; await player.play(); player.pause(); }")
    await check_appearance(page)
    await cards.nth(0).get_by_role("link", name="Details: a red bicycle").click()
    await expect(page.locator(".outputs")).to_contain_text("1 KB")
    await check_appearance(page)
    page = await windows.open(f"/generations/{tune['id']}", account)
    await expect(page.locator(".outputs audio")).to_have_js_property("duration", 3)
    await expect(page.locator("figcaption")).to_contain_text("3 s · ")


async def test_dates_are_days_of_the_reader(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    stack.ended(account)
    today = datetime.now(UTC).date()
    page = await windows.open("/gallery", account)
    cards = page.locator(".card-of-work")
    for first, last, count in (
        (today - timedelta(1), today + timedelta(1), 1),
        (today + timedelta(2), today + timedelta(3), 0),
        (today - timedelta(9), today - timedelta(2), 0),
    ):
        await page.get_by_label("From").fill(first.isoformat())
        await page.get_by_label("To", exact=True).fill(last.isoformat())
        await expect(cards).to_have_count(count)


async def test_older_ones_are_read_on_demand(stack: Stack, windows: Windows) -> None:
    account = stack.account(top_up=1000)
    made = [stack.generate(account, sandbox={"hang": True}) for _ in range(20)]
    for one in made:
        stack.call("POST", f"/v1/generations/{one['id']}/cancel", account.key, {})
    for _ in range(8):
        stack.call("POST", f"/v1/generations/{stack.generate(account)['id']}/cancel", account.key, {})
    page = await windows.open("/gallery", account)
    cards = page.locator(".card-of-work")
    await expect(cards).to_have_count(24)
    await page.get_by_role("button", name="Show older").click()
    await expect(cards).to_have_count(28)
    await expect(page.get_by_role("button", name="Show older")).to_be_hidden()
    await cards.nth(26).get_by_role("link", name="Run again").click()
    await page.wait_for_url(f"{stack.address}/")
    await page.go_back()
    await expect(cards).to_have_count(28)
    await expect(cards.nth(26)).to_be_in_viewport()
    for _ in range(25):  # what comes live does not fill the page without end
        stack.call("POST", f"/v1/generations/{stack.generate(account)['id']}/cancel", account.key, {})
    await expect(page.get_by_role("button", name="Show older")).to_be_visible()
    await expect(cards).to_have_count(52)


async def test_a_new_one_appears_by_itself_and_a_video_plays(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/gallery", account)
    await expect(page.locator("#empty")).to_be_visible()
    stack.generate(account, tool="video", model="wan-2.2", prompt="Paper boats")
    card = page.locator(".card-of-work")
    await expect(card).to_contain_text("charged 30")
    await expect(card.locator(".length")).to_have_text("5 s")
    await card.locator(".picture").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("video")).to_have_attribute("controls", "")
    await expect(dialog).to_contain_text("5 s")
    await check_appearance(page)


async def test_what_events_say_while_a_filter_is_read_is_shown_with_its_answer(stack: Stack, windows: Windows) -> None:
    """No card stood for them then: a start was lost, and a new one kept what the filter had before beside it."""
    account = stack.account(top_up=100)
    stack.ended(account)
    made = [stack.generate(account, model="imagineart-2.0", sandbox={"hang": True}) for _ in range(3)]
    page = await windows.open("/gallery", account)
    cards = page.locator(".card-of-work")
    await expect(cards).to_have_count(4)
    await note_events(page)
    new = []

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        stack.call("POST", f"/v1/generations/{made[0]['id']}/cancel", account.key, {})
        await until_notified(page, made[2]["id"], "running")
        new.append(stack.generate(account, model="imagineart-2.0", sandbox={"hang": True})["id"])
        await until_notified(page, new[0], "waiting")
        await route.fulfill(response=answer)

    await page.route("**/v1/generations?*", answer_late, times=1)
    await page.get_by_label("Model").select_option("imagineart-2.0")
    await expect(page.locator("#cards")).not_to_have_attribute("aria-busy", "true")
    await settle(page)
    assert [await card.get_attribute("data-id") for card in await cards.all()] == [
        new[0],
        *(one["id"] for one in made[::-1]),
    ]
    assert "Running" in await page.locator(f"[data-id={made[2]['id']}]").inner_text()
    assert "Cancelled" in await page.locator(f"[data-id={made[0]['id']}]").inner_text()
