"""Webhooks: made with a secret that is seen once, changed, paused, deleted; and what each was told, try by try."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from playwright.async_api import Page, Route, expect
from standardwebhooks import Webhook

from gateway.domain import EventType
from tests.console.pages import Windows, check_appearance
from tests.console.stack import Account, Stack

ENDED = ["generation.succeeded", "generation.failed", "generation.cancelled"]


@dataclass
class Receiver:
    """A customer's backend. It answers `status`, and keeps what it got."""

    status: int = 200
    url: str = ""
    bodies: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """One call."""
        self.bodies.append(await request.text())
        self.headers.append(dict(request.headers))
        return web.Response(status=self.status)


@asynccontextmanager
async def receiver(status: int = 200) -> AsyncIterator[Receiver]:
    """A receiver on this machine."""
    made = Receiver(status)
    app = web.Application()
    app.router.add_post("/", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        made.url = f"http://{host}:{port}/"
        yield made
    finally:
        await runner.cleanup()


def _listen(stack: Stack, account: Account | str, url: str, **wishes: Any) -> Any:
    key = account.key if isinstance(account, Account) else account
    return stack.call("POST", "/v1/webhooks", key, {"url": url, "events": ENDED} | wishes)


async def _refreshed_until(page: Page, text: str) -> None:
    """Press Refresh until the deliveries say it: nothing tells the page that something was sent."""
    row = page.locator("#table tbody tr", has_text=text).first
    for _ in range(120):
        await page.get_by_role("button", name="Refresh").click()
        await expect(page.locator("#announcement")).to_have_text("Up to date")
        if await row.count():
            return
        await page.wait_for_timeout(250)
    raise AssertionError(await page.locator("#deliveries").inner_text())


async def test_a_webhook_is_made_its_secret_seen_once_and_its_deliveries_read_and_sent_again(
    stack: Stack, windows: Windows
) -> None:
    account = stack.account()
    async with receiver() as backend:
        page = await windows.open("/webhooks", account)
        await expect(page.get_by_text("No webhooks yet.")).to_be_visible()
        await check_appearance(page)
        await page.get_by_role("button", name="New webhook").click()
        offered = await page.locator("dialog input[name=events]").evaluate_all("(all) => all.map(({ value }) => value)")
        assert offered == list(EventType)
        await page.get_by_role("textbox", name="URL").fill(backend.url)
        await page.get_by_role("textbox", name="Description").fill("The shop's backend")
        await check_appearance(page)
        await page.get_by_role("button", name="Create").click()
        secret = await page.get_by_role("dialog", name="The webhook's secret").locator("code").inner_text()
        assert secret.startswith("whsec_")
        await check_appearance(page)
        await page.keyboard.press("Escape")
        await expect(page.locator("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="New webhook")).to_be_focused()
        assert secret not in await page.content()
        made = stack.ended(account)
        await page.get_by_role("button", name=f"Deliveries: {backend.url}").click()
        await expect(page.locator("#deliveries-heading")).to_be_focused()
        await _refreshed_until(page, "delivered")
        Webhook(secret).verify(backend.bodies[0], backend.headers[0])
        row = page.locator("#table tbody tr")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text(made["id"])
        await expect(row.locator("summary")).to_have_text("1 try, last: 200")
        await row.locator("summary").click()
        await expect(row.locator("li")).to_contain_text(" ms")
        await check_appearance(page)
        await row.get_by_role("button", name="View generation.succeeded").click()
        request = page.get_by_role("dialog", name="The request")
        await expect(request).to_contain_text(f'"id": "{made["id"]}"')
        await expect(request).to_contain_text("webhook-signature: v1,")
        await check_appearance(page)
        await page.keyboard.press("Escape")
        await row.get_by_role("button", name="Resend generation.succeeded").click()
        await _refreshed_until(page, "2 tries, last: 200")
        assert backend.headers[0]["webhook-id"] == backend.headers[1]["webhook-id"]
        await page.reload()
        await expect(row).to_have_count(1)


async def test_failing_and_paused_webhooks_say_so_and_a_paused_one_goes_on(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    async with receiver(503) as down, receiver(410) as gone:
        made = {backend.url: _listen(stack, account, backend.url) for backend in (down, gone)}
        stack.ended(account)
        page = await windows.open(f"/webhooks?webhook={made[down.url]['id']}", account)
        await _refreshed_until(page, "last: 503")
        await expect(page.locator("#table .badge.bad")).to_have_text("retrying")
        await page.get_by_label("State", exact=True).select_option("delivered")
        await expect(page.locator("#table")).to_contain_text("None in this state.")
        await page.get_by_label("State", exact=True).select_option("")
        await page.get_by_role("button", name=f"Send a test event: {down.url}").click()
        await expect(page.get_by_role("dialog", name="The test event did not arrive")).to_contain_text("503")
        await page.keyboard.press("Escape")
        failing, paused = (page.locator(f"#{made[backend.url]['id']}") for backend in (down, gone))
        await expect(failing.locator(".badge")).to_have_text("failing")
        await expect(failing).to_contain_text("Failing since")
        await page.get_by_role("button", name=f"Deliveries: {gone.url}").click()
        await _refreshed_until(page, "last: 410")
        await expect(paused.locator(".badge")).to_have_text("paused")
        await expect(paused).to_contain_text("410 Gone")
        await expect(page.locator("#table")).to_contain_text("when resumed")
        await check_appearance(page)
        gone.status = 200
        await paused.get_by_role("button", name="Resume").click()
        await expect(paused.locator(".badge")).to_have_text("active")
        await _refreshed_until(page, "delivered")
        await paused.get_by_role("button", name="Pause").click()
        await expect(paused).to_contain_text("Paused manually")
        assert {"paused", "active"} == {one["status"] for one in stack.call("GET", "/v1/webhooks", account.key)["data"]}


async def test_a_webhook_is_never_shown_as_older_than_its_deliveries(stack: Stack, windows: Windows) -> None:
    """It was read before them: what failed between the two reads stood beside a webhook that was "active"."""
    account = stack.account()
    async with receiver(503) as down:
        webhook = _listen(stack, account, down.url)["id"]
        page = await windows.open(f"/webhooks?webhook={webhook}", account)
        await expect(page.locator("#table")).to_contain_text("No deliveries")

        async def fail_first(route: Route) -> None:
            stack.ended(account)
            while not stack.call("GET", f"/v1/webhooks/{webhook}", account.key)["failing_since"]:
                await asyncio.sleep(0.05)
            await route.continue_()

        await page.route("**/deliveries*", fail_first, times=1)
        await page.get_by_role("button", name="Refresh").click()
        await expect(page.locator("#table")).to_contain_text("last: 503")
        await expect(page.locator(f"#{webhook} .badge")).to_have_text("failing")


async def test_a_webhook_is_changed_gets_a_new_secret_and_is_deleted_after_a_question(
    stack: Stack, windows: Windows
) -> None:
    account = stack.account()
    made = _listen(stack, account, "https://example.com/farebox", description="<b>the shop</b>")
    page = await windows.open("/webhooks", account)
    panel = page.locator(f"#{made['id']}")
    await expect(panel).to_contain_text("<b>the shop</b>")
    await panel.get_by_role("button", name="Edit").click()
    await page.get_by_role("textbox", name="URL").fill("http://192.168.0.1/hook")
    await page.get_by_role("button", name="Save").click()
    refused = page.get_by_role("alert").filter(has_text="Url")
    await expect(refused).to_contain_text(re.compile(r"^Url [^`]+\.$"))  # once, and without the marks of code
    await check_appearance(page)
    for event in ENDED[1:]:
        await page.get_by_role("checkbox", name=event).uncheck()
    await page.get_by_role("textbox", name="URL").fill("https://example.com/other")
    await page.get_by_role("button", name="Save").click()
    await expect(panel.get_by_role("heading")).to_have_text("https://example.com/other")
    await expect(panel.locator("code")).to_have_text(ENDED[:1])
    await panel.get_by_role("button", name="New secret").click()
    await page.get_by_role("button", name="Create a new secret").click()
    secret = await page.get_by_role("dialog", name="The webhook's secret").locator("code").inner_text()
    assert secret != made["secret"]
    await page.get_by_role("button", name="Close").click()
    await expect(panel).to_contain_text("Secret rotated")
    await panel.get_by_role("button", name="Delete").click()
    await check_appearance(page)
    await page.get_by_role("button", name="Keep it").click()
    await expect(panel).to_be_visible()
    await panel.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(panel).to_have_count(0)
    assert stack.call("GET", "/v1/webhooks", account.key)["data"] == []
    windows.allow("Failed to load resource")  # the private address was refused


async def test_older_deliveries_are_read_page_by_page(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    async with receiver() as backend:
        made = _listen(stack, account, backend.url)
        wanted = [stack.ended(account)["id"] for _ in range(3)]
        browser = await windows.browse(account)

        answering, answers = asyncio.Event(), list[str]()
        answering.set()

        async def two_at_once(route: Any) -> None:
            await answering.wait()
            await route.continue_(url=route.request.url.replace("limit=25", "limit=2"))

        await browser.route("**/deliveries?*", two_at_once)
        page = await browser.new_page()
        await page.goto(f"/webhooks?webhook={made['id']}")
        rows = page.locator("#table tbody tr")
        await expect(rows).to_have_count(2)
        page.on("requestfinished", lambda request: answers.append(request.url))
        answering.clear()
        await page.get_by_role("button", name="Show older").dblclick()
        answering.set()
        while len(answers) < 2:
            await page.wait_for_timeout(20)
        await page.evaluate("() => new Promise((done) => setTimeout(done, 50))")  # both have been read
        await expect(rows).to_have_count(3)
        await expect(page.get_by_role("button", name="Show older")).to_be_hidden()
        for row, generation in zip(await rows.all(), reversed(wanted), strict=True):
            await expect(row).to_contain_text(generation)


async def test_all_that_failed_is_sent_again_oldest_first(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    async with receiver() as backend:
        made = _listen(stack, account, backend.url)
        stack.ended(account)
        browser = await windows.browse(account)
        page = await browser.new_page()
        await page.goto(f"/webhooks?webhook={made['id']}")
        await _refreshed_until(page, "delivered")
        (sent,) = stack.call("GET", f"/v1/webhooks/{made['id']}/deliveries", account.key)["data"]
        failed = [sent | {"id": f"evt_{number}", "status": "failed"} for number in (3, 2, 1)]
        again: list[str] = []

        async def resend(route: Any) -> None:
            again.append(route.request.url.split("/")[-2])
            await route.fulfill(json=sent)

        async def answer(route: Any) -> None:
            await route.fulfill(json={"data": [one for one in failed if one["id"] not in again], "next": None})

        await browser.route("**/deliveries?*", answer)
        await browser.route("**/resend", resend)
        await page.get_by_role("button", name="Refresh").click()
        await page.get_by_role("button", name="Resend 3 failed").click()
        await expect(page.locator("#table")).to_contain_text("No deliveries yet.")
        assert again == ["evt_1", "evt_2", "evt_3"]


async def test_a_requests_own_long_url_leaves_room_for_what_became_of_it(stack: Stack, windows: Windows) -> None:
    """It was one line, however long, and pushed the state, the tries and the button out of sight."""
    account = stack.account()
    async with receiver() as backend:
        stack.ended(account, webhook_url=f"{backend.url}?{'q' * 400}")
        page = await windows.open("/webhooks?webhook=default", account)
        await _refreshed_until(page, "delivered")
        await page.wait_for_function("() => (({ scrollWidth, clientWidth }) => scrollWidth === clientWidth)(table)")
        await check_appearance(page)


async def test_an_admin_key_has_the_operators_webhooks_and_an_ops_key_none(stack: Stack, windows: Windows) -> None:
    made = _listen(stack, stack.admin, "https://example.com/operators", events=["top_up.paid"])
    page = await windows.open("/webhooks", stack.admin)
    await expect(page.locator("#whose")).to_contain_text("the events of every account")
    await expect(page.locator("#endpoints section")).to_have_count(1)
    await page.locator(f"#{made['id']}").get_by_role("button", name="Deliveries").click()
    await expect(page.locator("#table")).to_contain_text("No deliveries yet.")
    await check_appearance(page)
    stack.call("DELETE", f"/v1/webhooks/{made['id']}", stack.admin)
    ops = stack.call("POST", "/v1/admin/keys", stack.admin, {"scope": "ops"})["key"]
    page = await windows.open("/webhooks", ops)
    await expect(page.get_by_text("Other keys have none.")).to_be_visible()
    await expect(page.locator("#webhooks")).to_be_hidden()
    await check_appearance(page)
