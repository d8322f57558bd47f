"""Operations: the queues and the holds now, live; and the past, as caretakers noted it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from gateway.domain import FailureCode
from gateway.ledger.sums import Totals
from gateway.queue.keys import SERIES_LAST, series_key
from gateway.queue.queue import Depth, Queue
from gateway.queue.series import STEPS, Series
from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack

_SLOT_MS = 10_000


async def _note_the_past(stack: Stack) -> None:
    """An hour in which an image waited ever longer, with five minutes that nobody looked at."""
    async with Redis(unix_socket_path=str(stack.folder / "redis.sock")) as redis:
        queue = Queue(redis)
        series = Series(queue)
        await redis.delete(SERIES_LAST, *(series_key(step.ms) for step in STEPS))
        now = await queue.now()
        for back in range(359, 0, -1):
            if 100 < back <= 130:
                continue
            ended = {("image", "flux-dev", "failed", str(FailureCode.PROVIDER_REJECTED)): 400 - back}
            totals = Totals(
                accounts=1, open=9, held_millicredits=73_500, waiting={}, queued={"image": 7}, running={"image": 2},
                overdue=0, outcomes=ended, rescues={},
            )  # fmt: skip
            depth = Depth(tool="image", queued=7, oldest_ms=(360 - back) * 1000, workers=1, silent_ms={})
            await series.add(now - back * _SLOT_MS, totals, [depth])


async def test_an_open_page_shows_the_past_with_its_gaps(stack: Stack, windows: Windows) -> None:
    await _note_the_past(stack)
    page = await windows.open("/operations", stack.admin)
    await expect(page.locator("#step")).to_have_text(
        "One value every 10 s. Times are in your time zone. Gaps: no samples."
    )
    await expect(page.locator("#failures")).to_contain_text("provider_rejected")
    await expect(page.locator("#failures")).to_contain_text("FLUX dev")
    tools = await page.locator("#oldest-legend .legend").all_text_contents()
    path = page.locator("#oldest-chart path.line").nth(tools.index("Image"))
    drawn = await path.get_attribute("d")
    assert drawn is not None
    # On a slow machine writing the past takes longer than a slot, which then is a gap too.
    assert drawn.count("M") in {2, 3}, "the gap is a gap"
    await page.locator("section", has=page.locator("#oldest-heading")).get_by_text("As a table").click()
    await expect(page.locator("#oldest-table tbody tr")).to_have_count(12)
    await page.locator("#oldest-chart").focus()
    await page.keyboard.press("Home")
    await expect(page.locator("#oldest-chart .tip")).to_contain_text("Image")
    await check_appearance(page)
    for name, step in (("24 h", "1 min"), ("7 d", "10 min")):
        await page.get_by_role("radio", name=name).check(force=True)
        await expect(page.locator("#step")).to_contain_text(f"One value every {step}, showing the worst in each")
    await expect(page).to_have_url(f"{stack.address}/operations?range=7d")
    await expect(page.locator("#failures-heading")).to_have_text("Failures by model, the last 7 days")


async def test_now_is_live_until_it_is_paused(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard")
    page = await windows.open("/operations", stack.admin)
    tools = stack.call("GET", "/v1/rate-card", stack.admin)["tools"]
    await expect(page.locator("#workers .badge.good")).to_have_count(len(tools))  # `up` starts one for each
    await expect(page.locator("#overdue")).to_have_text("0")
    # Other tests have left what hangs in the same stack, and goes on hanging.
    before = stack.call("GET", "/v1/ops/queues", stack.admin)
    running = next(queue["running"] for queue in before["queues"] if queue["tool"] == "image")
    hanging = [stack.generate(account, model="z-image-turbo", sandbox={"hang": True}) for _ in range(2)]
    in_work = page.locator("#queues tbody tr", has_text="Image").locator("td").nth(3)
    await expect(in_work).to_have_text(str(running + 2))
    await expect(page.locator("#held")).to_have_text(f"{before['held_credits'] + 10:,}")
    pause = page.get_by_role("button", name="Pause live updates")
    await pause.click()
    again = page.get_by_role("button", name="Resume live updates")
    await expect(again).to_have_attribute("aria-pressed", "true")
    stack.call("POST", f"/v1/generations/{hanging[0]['id']}/cancel", account.key, {})
    await expect(page.locator("#audit")).to_have_text(re.compile(r"^\d+ of \d+ accounts$"))
    await expect(page.locator("#audit-note")).to_contain_text("without a difference")
    await again.click()
    await expect(in_work).to_have_text(str(running + 1))
    await in_work.get_by_role("link").click()
    await expect(page).to_have_url(f"{stack.address}/work?status=running&tool=image")
    await page.get_by_label("Account").fill(account.name)
    await page.get_by_label("Account").press("Enter")
    await page.get_by_label("Account").blur()
    await expect(page.locator("#list-heading")).to_have_text("1 generation, 5 credits held")
    row = page.locator("#list tbody tr")
    await expect(row.locator(f'a[href="/generations/{hanging[1]["id"]}"]')).to_have_count(1)
    await expect(row.get_by_role("link", name=account.name)).to_have_attribute(
        "href", f"/accounts?account={account.name}"
    )
    await check_appearance(page)
    stack.call("POST", f"/v1/generations/{hanging[1]['id']}/cancel", account.key, {})
    await page.goto("/operations")
    await expect(in_work).to_have_text(str(running))


async def test_a_model_is_paused_and_resumed_with_a_reason_and_an_audit_is_asked_for(
    stack: Stack, windows: Windows
) -> None:
    account = stack.account(plan="standard")
    page = await windows.open("/work?status=failed&model=recraft-v4", stack.admin)
    await page.get_by_role("button", name="Pause model recraft-v4").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("row", name="New generations")).to_contain_text("refused with your reason")
    await dialog.get_by_label("Reason").fill("its provider is down until noon")
    await dialog.get_by_role("button", name="Pause").click()
    await expect(page.locator("#done")).to_contain_text("Paused the model recraft-v4.")
    with pytest.raises(AssertionError, match=r"503 .*until noon"):
        stack.generate(account, model="recraft-v4")
    await page.goto("/operations")
    paused = page.locator("#pauses tbody tr", has_text="model recraft-v4")
    await expect(paused).to_contain_text("its provider is down until noon")
    await paused.get_by_role("button", name="Resume").click()
    await dialog.get_by_label("Reason").fill("it is back")
    await dialog.get_by_role("button", name="Resume").click()
    await expect(page.locator("#paused")).to_be_hidden()
    stack.generate(account, model="recraft-v4")
    await page.get_by_role("button", name="Run the audit now").click()
    await expect(page.locator("#done")).to_contain_text("Audit requested.")
    log = stack.call("GET", "/v1/admin/audit-log?limit=3", stack.admin)["data"]
    assert [(one["action"], one["reason"]) for one in log] == [
        ("askForAudit", None),
        ("resume", "it is back"),
        ("pause", "its provider is down until noon"),
    ]


async def test_an_accounts_key_sees_whose_page_it_is(stack: Stack, windows: Windows) -> None:
    page = await windows.open("/operations", stack.account())
    await expect(page.get_by_text("This page is for operators")).to_be_visible()
    await expect(page.locator("#queues")).to_be_hidden()
    await check_appearance(page)


async def test_trouble_is_said_in_words_not_in_colour_alone(stack: Stack, windows: Windows) -> None:
    browser = await windows.browse(stack.admin)
    now = stack.call("GET", "/v1/ops/queues", stack.admin)
    queue = now["queues"][0] | {"depth": 3, "workers": 0, "heartbeats": [{"name": "w:1", "silent_seconds": 90}]}
    audit = {"at": "2026-11-22T17:00:00.000Z", "seconds": 1, "accounts": 2, "generations": 3, "differences": 2}
    trouble = now | {"queues": [queue], "overdue": 4, "audit": audit}
    trouble["rate_card"] = {"version": "sha256:0", "problem": "models.x has no rate"}

    async def answer(route: Any) -> None:
        await route.fulfill(json=trouble)

    await browser.route("**/v1/ops/queues", answer)
    await browser.route("**/v1/events", lambda _: None)  # no event: it stays as it was answered
    page = await browser.new_page()
    await page.goto("/operations")
    await expect(page.locator("#overdue-note")).to_contain_text("is a caretaker running?")
    await expect(page.locator("#audit")).to_have_text("2 differences")
    await expect(page.locator("#queues")).to_contain_text("none")
    await expect(page.locator("#workers")).to_contain_text("silent")
    await expect(page.locator("#rate-card")).to_contain_text("models.x has no rate")
    await check_appearance(page)


async def test_providers_are_shown_with_their_state_and_what_they_did_in_the_last_hour(
    stack: Stack, windows: Windows
) -> None:
    page = await windows.open("/operations", stack.admin)
    await expect(page.locator("#providers")).to_contain_text("Only the sandbox")
    browser = await windows.browse(stack.admin)
    at = stack.call("GET", "/v1/ops/queues", stack.admin)["audit"]["at"]
    providers = [
        _provider(
            "busy-box", kind="comfyui", in_work=1, max_in_work=1, in_line=7, last_hour={"busy": 4}, models=["flux-dev"]
        ),
        _provider("flux-box", state="working", succeeded_at=at, last_hour={"succeeded": 97, "provider_failed": 3}),
        _provider(
            "replicate",
            kind="replicate",
            state="failing",
            failed_at=at,
            last_hour={"unreachable": 9, "busy": 1},
            last_failure={"code": "unreachable", "message": "503: no upstream"},
        ),
    ]
    told: dict[str, Any] = {"providers": providers}

    async def answer(route: Any) -> None:
        now = await (await route.fetch()).json()
        await route.fulfill(json=now | told)

    await browser.route("**/v1/ops/queues", answer)
    await browser.route("**/v1/events", lambda _: None)  # no event: it stays as it was answered
    page = await browser.new_page()
    await page.goto("/operations")
    rows = page.locator("#providers tbody tr")
    await expect(rows).to_have_count(3)
    cells = [await row.locator("td").all_inner_texts() for row in await rows.all()]
    assert cells[0] == ["unused for a week", "busy 4", "–", "1 of 1", "7", "–", "–", "Pause"]
    links = [await link.get_attribute("href") for link in await rows.nth(0).locator("a").all()]
    assert links == ["/work?status=running&provider=busy-box", "/work?status=queued&provider=busy-box"]
    assert cells[1][:5] == ["working", "provider_failed 3", "97 % of 100", "3", "0"]
    assert cells[1][5].endswith(" ago")
    assert cells[2][6].endswith(" ago\n503: no upstream")
    await expect(rows.nth(0).locator("th")).to_have_text("busy-boxcomfyuiFLUX dev")
    assert cells[2][:3] == ["failing", "unreachable 9\nbusy 1", "0 % of 9"]
    await check_appearance(page)
    told["providers"] = None
    await page.reload()
    await expect(page.locator("#providers")).to_contain_text("The queue is not responding")


def _provider(name: str, **said: Any) -> dict[str, Any]:
    """A provider as the API shows it; nothing is known of it but what is `said`."""
    return {
        "name": name, "kind": "openai", "state": "unknown", "in_work": 3, "max_in_work": None, "in_line": 0,
        "succeeded_at": None, "failed_at": None, "last_failure": None, "models": [], "last_hour": {}, **said,
    }  # fmt: skip
