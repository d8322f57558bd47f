"""Saving the file changes prices; a file that does not hold changes nothing, and is shown."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import LedgerUnavailable, RateCardError
from gateway.pricing import reload
from gateway.pricing.card import RateCard
from gateway.pricing.reload import RateCards
from tests.until import until

CARD = """
[tools.video]
name = "Video"
baseline_model = "clip"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
[[models.clip.rates]]
credits = {credits}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reload, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(reload, "PUBLISH_AGAIN_SECONDS", 0.02)
    card = tmp_path / "pricing.toml"
    card.write_text(CARD.format(credits=1))
    return card


def replace(path: Path, text: str, *, keep_times: bool = False) -> None:
    """Save as most editors do: write beside, then rename over."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    if keep_times:
        stat = path.stat()
        os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    beside.replace(path)


def save(path: Path, text: str) -> None:
    """Save in place."""
    path.write_text(text)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def remove(path: Path) -> None:
    path.unlink()


def point(link: Path, target: Path) -> None:
    """Point a link elsewhere at one stroke."""
    beside = link.with_suffix(".link")
    beside.symlink_to(target)
    beside.replace(link)


def credits_of(cards: RateCards) -> int:
    return int(cards.card.models["clip"].rates[0].millicredits) // 1000


@asynccontextmanager
async def watched(cards: RateCards) -> AsyncIterator[None]:
    task = asyncio.create_task(cards.watch())
    try:
        yield
        assert not task.done(), "nothing that happens to the file ends the watch"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def before_each_look(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Have the watch do something before it looks at the file."""
    look = reload._signature  # noqa: SLF001 - what a look is; no other file is touched between two of them

    def looked(path: Path) -> reload.Signature:
        do()
        return look(path)

    monkeypatch.setattr(reload, "_signature", looked)


def test_a_process_does_not_start_with_a_card_that_does_not_hold(path: Path) -> None:
    path.write_text("[free]\n")
    with pytest.raises(RateCardError, match="needs `models`"):
        RateCards(path)


async def test_saving_a_new_card_changes_prices_and_publishes_it(path: Path) -> None:
    published: list[RateCard] = []

    async def publish(card: RateCard) -> None:
        published.append(card)

    cards = RateCards(path, publish)
    async with watched(cards):
        replace(path, CARD.format(credits=2))
        await until(lambda: bool(published))
    assert credits_of(cards) == 2
    assert published == [cards.card], "once, and the card in force"


def test_the_default_pace_keeps_the_promise_of_a_second() -> None:
    assert reload.CHECK_SECONDS * 2 <= 0.5, "a change is seen at one look, settled at the next, and then read"


async def test_a_card_that_does_not_hold_changes_nothing_and_is_shown_until_it_is_mended(path: Path) -> None:
    cards = RateCards(path)
    first = cards.card
    async with watched(cards):
        save(path, CARD.format(credits=-2))
        await until(lambda: cards.problem is not None)
        assert cards.card is first
        assert cards.problem == f"{path}:10: [models.clip.rates] #1: `credits` must not be negative"
        save(path, CARD.format(credits=3))
        await until(lambda: cards.problem is None)
    assert credits_of(cards) == 3


async def test_going_back_to_the_first_card_clears_the_problem(path: Path) -> None:
    cards = RateCards(path)
    async with watched(cards):
        replace(path, "nonsense")
        await until(lambda: cards.problem is not None)
        replace(path, CARD.format(credits=1))
        await until(lambda: cards.problem is None)
    assert credits_of(cards) == 1


async def test_a_file_that_is_gone_is_shown_and_taken_again_when_it_is_back(path: Path) -> None:
    cards = RateCards(path)
    async with watched(cards):
        remove(path)
        await until(lambda: cards.problem is not None)
        assert "no such file" in str(cards.problem)
        save(path, CARD.format(credits=4))
        await until(lambda: cards.problem is None)
    assert credits_of(cards) == 4


async def test_a_change_of_the_same_size_and_time_is_seen_by_its_inode(path: Path) -> None:
    cards = RateCards(path)
    async with watched(cards):
        replace(path, CARD.format(credits=5), keep_times=True)
        await until(lambda: credits_of(cards) == 5)


async def test_a_file_still_being_written_is_neither_used_nor_complained_about(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truncated card can be valid TOML, with the last models missing: reading it at once would have unsold them."""
    cards = RateCards(path)
    more = CARD.format(credits=6) + "".join(f"# line {index}\n" for index in range(10))
    lines = more.splitlines(keepends=True)
    seen: set[tuple[int, str | None]] = set()

    def write_on() -> None:
        if lines:
            append(path, lines.pop(0))
            seen.add((credits_of(cards), cards.problem))

    before_each_look(monkeypatch, write_on)
    async with watched(cards):
        save(path, "")
        await until(lambda: credits_of(cards) == 6)
    assert seen == {(1, None)}


async def test_a_link_that_is_swapped_is_followed(tmp_path: Path, path: Path) -> None:
    """Container mounts change a file by pointing a link elsewhere; the link's own name never changes."""
    link = tmp_path / "linked.toml"
    other = tmp_path / "other.toml"
    point(link, path)
    save(other, CARD.format(credits=7))
    cards = RateCards(link)
    async with watched(cards):
        point(link, other)
        await until(lambda: credits_of(cards) == 7)


async def test_touching_the_file_makes_the_same_card_the_newest(path: Path) -> None:
    cards = RateCards(path)
    version, before = cards.card.version, cards.card.file_time_ms
    async with watched(cards):
        os.utime(path, ns=(0, (before + 60_000) * 1_000_000))
        await until(lambda: cards.card.file_time_ms == before + 60_000)
    assert cards.card.version == version


async def test_a_card_that_cannot_be_published_is_tried_again_until_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def publish(card: RateCard) -> None:
        tried.append(card.version)
        if len(tried) < 3:
            raise LedgerUnavailable("no answer")

    cards = RateCards(path, publish)
    async with watched(cards):
        replace(path, CARD.format(credits=8))
        await until(lambda: cards.problem is not None)
        assert cards.problem == "the new rate card is not published to the ledger yet: no answer"
        assert credits_of(cards) == 8, "prices follow the file, whatever the ledger does"
        await until(lambda: cards.problem is None)
        looks: list[None] = []
        before_each_look(monkeypatch, lambda: looks.append(None))
        await until(lambda: len(looks) == 10)
    assert tried == [cards.card.version] * 3
