"""Input files: sent ahead of the order, and named in it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from playwright.async_api import FilePayload, Route, expect

from tests.console.pages import Windows, check_appearance, choose
from tests.console.stack import Stack
from tests.made_media import picture, tone

PROMPT = "A lighthouse on a cliff at dusk"


async def test_an_image_from_this_computer_is_sent_ahead_and_used(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/", stack.account(plan="standard"))
    await choose(page, "Nano Banana")
    pick = page.get_by_label(re.compile("images from this computer"))
    image = FilePayload(name="fox.png", mimeType="image/png", buffer=picture("PNG"))
    words = FilePayload(name="words.png", mimeType="image/png", buffer=b"only words")
    await pick.set_input_files([words, image])
    sent = page.get_by_role("list", name="Uploaded images")
    await expect(sent).to_contain_text("fox.png · 64 × 48")
    await expect(page.locator("#uploads [role=alert]")).to_contain_text("words.png: The body is not one of image/png")
    await windows.noted("Failed to load resource")  # that the words were refused
    await expect(page.locator("#quote")).not_to_have_attribute("aria-busy", "true")  # it is pale until then
    await check_appearance(page)
    await page.reload()
    await expect(sent).to_contain_text("fox.png")
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    async with page.expect_request("**/v1/generations") as asked:
        await page.get_by_role("button", name=re.compile("^Generate · ")).click()
    body = (await asked.value).post_data_json
    assert body is not None
    assert [given["kind"] for given in body["inputs"]] == ["image"]
    assert body["inputs"][0]["url"].startswith("upload:")
    await expect(page.locator("#work article")).to_be_visible()
    await page.get_by_role("button", name="Remove fox.png").click()
    await expect(sent).to_be_hidden()
    await expect(pick).to_be_focused()


async def test_nothing_is_ordered_while_an_image_is_on_its_way(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/", stack.account(plan="standard"))
    await choose(page, "Nano Banana")
    arrive = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrive.wait()
        await route.continue_()

    await page.route("**/v1/uploads", hold)
    image = FilePayload(name="fox.png", mimeType="image/png", buffer=picture("PNG"))
    await page.get_by_label(re.compile("images from this computer")).set_input_files([image])
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    pressed = page.get_by_role("button", name=re.compile("^Generate · "))
    await pressed.click()
    await expect(page.locator("#uploads [role=alert]")).to_contain_text("still uploading")
    await expect(page.locator("#no-work")).to_be_visible()
    arrive.set()
    await expect(page.get_by_role("list", name="Uploaded images")).to_contain_text("fox.png")
    async with page.expect_request("**/v1/generations") as asked:
        await pressed.click()
    body = (await asked.value).post_data_json
    assert body is not None
    assert len(body["inputs"]) == 1


async def test_audio_is_heard_before_it_is_sent_and_a_model_without_prompt_asks_for_none(
    stack: Stack, windows: Windows
) -> None:
    """As if sound effects were made from audio alone: what is sent is seen here, and the rest goes the usual way."""

    async def as_if(route: Route) -> None:
        card = await (await route.fetch()).json()
        model = next(model for model in card["models"] if model["id"] == "sound-effects")
        model.update({"prompt": "none", "inputs": {**model["inputs"], "audio": 1}})
        await route.fulfill(json=card)

    async def as_usual(route: Route) -> None:
        asked = route.request.post_data_json
        if asked is None:
            return await route.continue_()
        sent_bodies.append(asked)
        return await route.continue_(post_data={**asked, "prompt": PROMPT, "inputs": []})

    sent_bodies: list[dict[str, Any]] = []
    page = await (await windows.browse(stack.account(plan="standard"))).new_page()
    await page.route("**/v1/rate-card", as_if)
    await page.route(re.compile("/v1/(quotes|generations)"), as_usual)
    await page.goto("/")
    await page.locator("#tools").get_by_role("radio", name="Audio").check(force=True)
    await choose(page, "Sound Effects")
    await expect(page.locator("#prompt")).to_be_hidden()
    pick = page.get_by_label(re.compile("audio from this computer"))
    tune = FilePayload(name="tune.wav", mimeType="audio/wav", buffer=tone(seconds=2))
    fox = FilePayload(name="fox.png", mimeType="image/png", buffer=picture("PNG"))
    await pick.set_input_files([fox, tune])
    sent = page.get_by_role("list", name="Uploaded audio")
    await expect(sent).to_contain_text("tune.wav · 2 s")
    await expect(sent.get_by_label("tune.wav", exact=True)).to_have_js_property("duration", 2)
    await expect(page.locator("#uploads [role=alert]")).to_have_text("fox.png: This model takes no image as input.")
    await page.get_by_label("Input audio").fill("https://example.com/waves.mp3")
    await expect(page.locator("#quote")).not_to_have_attribute("aria-busy", "true")
    await check_appearance(page)
    await page.get_by_role("button", name=re.compile("^Generate · ")).click()
    await expect(page.locator("#work article")).to_be_visible()
    body = next(body for body in sent_bodies if "quote" in body)
    assert body["prompt"] == ""
    assert [given["kind"] for given in body["inputs"]] == ["audio", "audio"]
    assert body["inputs"][0]["url"] == "https://example.com/waves.mp3"
    await choose(page, "GPT-4o mini TTS")
    await expect(page.locator("#prompt")).to_be_visible()
    await expect(page.locator("#inputs-field")).to_be_hidden()
