"""Usage: the chart, the tables and the CSV show the same rows, to the millicredit."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.core import PARTITIONS
from tests.console.pages import Windows, check_appearance
from tests.console.stack import Account, Stack

# More models than the chart has colours for; amounts that a browser's floating point would not add up.
_MILLICREDITS = {
    "flux-dev": 5_000, "wan-2.2": 30_000, "nano-banana-2": 73_500, "recraft-v4": 24_001, "ideogram-v3": 12_507,
    "z-image-turbo": 4_999, "veo-3.1-fast": 350_001, "dreamina-3.1": 17_333, "grok-imagine": 1_100,
}  # fmt: skip
_DAYS = 40


@pytest.fixture
async def busy(stack: Stack) -> Account:
    """An account that has used nine models on forty days, as the ledger's endings would have written it."""
    account = stack.account()
    partition = partition_of_account(account.name, PARTITIONS)
    today = datetime.now(UTC).date()
    async with Redis(unix_socket_path=str(stack.folder / "redis.sock")) as redis:
        for back in range(_DAYS):
            counters: dict[str, int] = {}
            for place, (model, amount) in enumerate(_MILLICREDITS.items()):
                count = 1 + (back + place) % 4
                tool = "video" if model in {"wan-2.2", "veo-3.1-fast"} else "image"
                name = f"{tool}|{model}|"
                counters |= {name + "generations": count, name + "outputs": count, name + "credits": count * amount}
            key = keys.usage(partition, account.name, (today - timedelta(back)).isoformat())
            await redis.hset(key, mapping=counters)  # type: ignore[misc]  # redis-py says so of every command
            await redis.expire(key, 400 * 86_400)
    return account


def whole(text: str) -> int:
    """An amount as it is shown, in millicredits."""
    return int(Decimal(text.replace(",", "").replace("−", "-").replace("–", "0")) * 1000)


async def cells(page: Page, table: str) -> list[list[str]]:
    """A table's texts: its head, its rows, its foot."""
    await expect(page.locator(f"{table} tfoot")).to_be_attached()
    texts: list[list[str]] = await page.locator(f"{table} tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    )
    return texts


async def exported(page: Page, folder: Path) -> list[dict[str, str]]:
    """The rows of the CSV that the page's button gives."""
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export CSV").click()
    path = folder / (await download.value).suggested_filename
    await (await download.value).save_as(path)
    return list(csv.DictReader(io.StringIO(path.read_text())))


def summed(rows: list[dict[str, str]], by: str, what: str = "credits") -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row[by]] = sums.get(row[by], 0) + whole(row[what])
    return sums


async def test_the_csv_the_tables_and_the_totals_are_the_same_numbers(
    busy: Account, windows: Windows, tmp_path: Path
) -> None:
    page = await windows.open("/usage", busy)
    await expect(page.locator("#breakdown tbody tr")).to_have_count(9)
    rows = await exported(page, tmp_path)
    assert {row["timezone"] for row in rows} == {"UTC"}
    await expect(page.locator(".zone")).to_have_text(["Days in UTC", "Days in UTC"])
    head, *shown, foot = await cells(page, "#breakdown")
    assert head[:5] == ["Model", "Generations", "Failed", "Credits", "Average"]
    assert sorted(whole(row[3]) for row in shown) == sorted(summed(rows, "model").values())
    assert whole(foot[3]) == sum(summed(rows, "model").values()) == whole(await page.locator("#spent").inner_text())
    _, *days, _ = await cells(page, "#days")
    assert len(days) == 30
    assert [whole(day[-1]) for day in reversed(days)] == list(summed(rows, "day").values())


@pytest.mark.parametrize("show", ["credits", "generations"])
async def test_the_first_six_and_the_others_add_up_exactly(
    busy: Account, windows: Windows, tmp_path: Path, show: str
) -> None:
    page = await windows.open(f"/usage?period=90&show={show}", busy)
    head, *days, foot = await cells(page, "#days")
    assert [name.startswith("Other (3 models)") for name in head] == [False] * 7 + [True, False]
    for row in (*days, foot):
        assert sum(map(whole, row[1:-1])) == whole(row[-1])
    for column in range(1, len(head)):
        assert sum(whole(day[column]) for day in days) == whole(foot[column])
    rows = await exported(page, tmp_path)
    assert whole(foot[-1]) == sum(summed(rows, "model", show).values())


async def test_filters_are_in_the_url_and_rule_the_csv(busy: Account, windows: Windows, tmp_path: Path) -> None:
    page = await windows.open("/usage", busy)
    await page.locator("#tool").select_option("video")
    await expect(page.locator("#breakdown tbody tr")).to_have_count(2)
    await expect(page.locator("#model").get_by_role("option", name="FLUX dev")).to_have_count(0)
    await page.get_by_role("radio", name="7 days").check(force=True)
    await expect(page.locator("#days tbody tr")).to_have_count(7)
    await expect(page).to_have_url(re.compile(r"/usage\?period=7&tool=video$"))
    rows = await exported(page, tmp_path)
    assert {row["model"] for row in rows} == {"wan-2.2", "veo-3.1-fast"}
    assert len({row["day"] for row in rows}) == 7
    first = (datetime.now(UTC).date() - timedelta(3)).isoformat()
    await page.get_by_label("From").fill(first)
    await expect(page.locator("#days tbody tr")).to_have_count(4)
    await expect(page).to_have_url(re.compile(f"from={first}"))
    await page.reload()
    await expect(page.locator("#days tbody tr")).to_have_count(4)
    await expect(page.locator("#tool")).to_have_value("video")
    await page.get_by_role("radio", name="Tool", exact=True).check(force=True)
    await expect(page.get_by_role("heading", name="Breakdown by tool")).to_be_visible()
    rows = await exported(page, tmp_path)
    assert list(rows[0])[:2] == ["day", "tool"]


async def test_the_breakdown_is_sorted_and_leads_to_the_generations(busy: Account, windows: Windows) -> None:
    page = await windows.open("/usage?tool=image&period=7", busy)
    await expect(page.locator("#breakdown tbody tr")).to_have_count(7)
    for order in ("ascending", "descending"):
        await page.get_by_role("button", name="Average").click()
        await expect(page.get_by_role("columnheader", name="Average")).to_have_attribute("aria-sort", order)
        averages = [float(row[4].replace(",", "")) for row in (await cells(page, "#breakdown"))[1:-1]]
        assert averages == sorted(averages, reverse=order == "descending")
    await check_appearance(page)
    await page.get_by_role("link", name="FLUX dev").click()
    await expect(page).to_have_url(re.compile(r"/gallery\?model=flux-dev&from=[-\d]+&to=[-\d]+$"))
    await expect(page.locator("#model")).to_have_value("flux-dev")


async def test_the_chart_is_read_with_the_arrow_keys_and_its_parts_toggled(busy: Account, windows: Windows) -> None:
    page = await windows.open("/usage", busy)
    await expect(page.locator("#chart rect[fill]").first).to_be_visible()
    bars = await page.locator("#chart rect[fill]").count()
    await page.locator("#chart").focus()
    await page.keyboard.press("End")
    tip = page.locator("#chart .tip")
    await expect(tip).to_contain_text("Total")
    said = {line.split("\n")[0]: line for line in (await tip.locator("li").all_inner_texts())}
    assert len(said) == 7
    last = (await cells(page, "#days"))[1]
    total = await tip.locator("p b").inner_text()
    assert whole(total) == whole(last[-1])
    await page.keyboard.press("Escape")
    await expect(tip).to_be_hidden()
    await page.get_by_role("button", name="Wan 2.2").click()
    await expect(page.get_by_role("button", name="Wan 2.2")).to_have_attribute("aria-pressed", "false")
    await expect(page.locator("#chart rect[fill]")).to_have_count(bars - 30)
    await check_appearance(page)


async def test_nothing_used_is_said_and_a_new_generation_appears_by_itself(stack: Stack, windows: Windows) -> None:
    account = stack.account()
    page = await windows.open("/usage", account)
    await expect(page.locator("#empty")).to_be_visible()
    await expect(page.locator("#lasts-note")).to_have_text("nothing was spent lately")
    await check_appearance(page)
    stack.ended(account)
    await expect(page.locator("#spent")).to_have_text("5")
    await expect(page.locator("#breakdown")).to_contain_text("FLUX dev")
    await expect(page.locator("#lasts")).to_have_text("19 days")


async def test_an_outage_is_said(busy: Account, windows: Windows) -> None:
    browser = await windows.browse(busy)

    async def refuse(route: Any) -> None:
        error = {"code": "ledger_unavailable", "message": "The ledger does not answer.", "request_id": "r"}
        await route.fulfill(status=503, json={"error": error})

    await browser.route("**/v1/usage*", refuse)
    page = await browser.new_page()
    await page.goto("/usage")
    await expect(page.get_by_role("alert")).to_have_text("The ledger does not answer.")
    await browser.route("**/session", lambda route: route.abort())  # or it starts again while it is looked at
    await check_appearance(page)
    windows.allow("Failed to load resource")
