"""What support and operators are called for, in the browser and by clicks alone: counted, and each with its entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack

MODEL = "seedream-v4.5"  # of which no other test leaves anything
STUCK = 30


@dataclass
class Hands:
    """Somebody at a page: what they press and type is counted."""

    page: Page
    clicks: int = 0
    typed: int = 0

    async def click(self, place: Locator) -> None:
        self.clicks += 1
        await place.click()

    async def press(self, name: str, *, inside: Locator | None = None) -> None:
        await self.click((inside or self.page).get_by_role("button", name=name, exact=True))

    async def fill(self, place: Locator, text: str) -> None:
        self.typed += len(text)
        await place.fill(text)

    @property
    def seconds(self) -> float:
        """By the rule of thumb of the keystroke-level model: 1.5 s to find and press something, 0.28 s a character."""
        return 1.5 * self.clicks + 0.28 * self.typed


def reason_of(stack: Stack, action: str) -> Any:
    """The newest entry of a call."""
    return stack.call("GET", f"/v1/admin/audit-log?action={action}&limit=1", stack.admin)["data"][0]["reason"]


async def test_i_was_charged_twice_from_the_email_to_the_refund_and_its_entry(stack: Stack, windows: Windows) -> None:
    account = stack.account(plan="standard")
    email = f"{account.name}@example.com"
    stack.call("PUT", f"/v1/admin/accounts/{account.name}", stack.admin, {"email": email})
    first, second = (stack.ended(account, prompt="a fox in the snow")["id"] for _ in range(2))
    support = stack.call("POST", "/v1/admin/keys", stack.admin, {"scope": "support", "label": "Ada"})["key"]
    page = await windows.open("/accounts", support)
    hands = Hands(page)
    await hands.fill(page.get_by_role("searchbox"), email)
    await hands.press("Find")
    await expect(page.locator(f'#account a[href="/generations/{first}"]').first).to_be_visible()
    await hands.press(f"Refund {second}")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("row", name="Credits")).to_have_text("Credits5 chargedgiven back")
    await hands.fill(dialog.get_by_label("Reason"), "charged twice")
    await hands.press("Refund", inside=dialog)
    await expect(page.locator("#done")).to_contain_text("Refunded 1 generation: 5 credits given back.")
    await expect(page.locator(".tile", has_text="Available")).to_contain_text("8,095")
    await expect(page.locator("#account")).to_contain_text("charged twice")
    await hands.click(page.get_by_role("link", name="See the audit log"))
    entry = page.locator("#entries tbody tr", has_text="Refund generations").first
    await expect(entry).to_contain_text("charged twice")
    assert (hands.clicks, hands.seconds < 60) == (4, True)
    assert stack.call("GET", "/v1/balance", account.key)["available"] == 8_095
    await page.go_back()
    row = page.locator("#account tr", has=page.locator(f'a[href="/generations/{second}"]')).first
    await expect(row).to_contain_text("charged 5; 5 given back")
    await expect(page.get_by_role("button", name=f"Refund {first}")).to_have_count(1)


async def test_a_stuck_provider_is_found_paused_its_thirty_jobs_refunded_and_it_is_resumed(
    stack: Stack, windows: Windows
) -> None:
    account = stack.account(plan="creator")
    stuck = [stack.generate(account, model=MODEL, sandbox={"hang": True}) for _ in range(STUCK)]
    held = stack.call("GET", "/v1/balance", account.key)["held"]
    page = await windows.open("/operations", stack.admin)
    try:
        hands = Hands(page)
        await hands.click(page.locator("#queues tbody tr", has_text="Image").get_by_role("link").last)
        await expect(page.locator("#list tbody tr").first).to_contain_text("sandbox")
        await hands.click(page.get_by_label("Provider"))
        await page.get_by_label("Provider").select_option("sandbox")
        await hands.press("Pause provider sandbox")
        await confirm(hands, "Pause", "It does not respond. We are on it.")
        await hands.click(page.get_by_label("Model"))
        await page.get_by_label("Model").select_option(MODEL)
        await hands.click(page.get_by_label("Show"))
        await page.get_by_label("Show").select_option("")
        await expect(page.locator("#list-heading")).to_have_text(f"{STUCK} generations, {held:,} credits held")
        await hands.press("Cancel all…")
        dialog = page.get_by_role("dialog")
        await hands.fill(dialog.get_by_label("Reason"), "the provider did not respond")
        await hands.press("Dry run", inside=dialog)
        found = dialog.get_by_role("row", name="Generations")
        await expect(found).to_have_text(f"Generations{STUCK} generations of 1 accountall of them")
        await check_appearance(page)
        await hands.press(f"Cancel {STUCK}", inside=dialog)
        await expect(page.locator("#done")).to_contain_text(f"Cancelled {STUCK} generations")
        await hands.press("Resume provider sandbox", inside=page.locator("#acts"))
        await confirm(hands, "Resume", "it responds again")
        await expect(page.locator("#paused")).to_be_hidden()
        assert (hands.clicks, hands.seconds < 60) == (11, True)
    finally:
        resume(stack)
    await expect(page.locator("#list-heading")).to_have_text("0 generations, 0 credits held")
    balance = stack.call("GET", "/v1/balance", account.key)
    assert (balance["held"], balance["available"]) == (0, 100_100)
    ended = {stack.call("GET", f"/v1/generations/{one['id']}", account.key)["status"] for one in stuck}
    assert ended == {"cancelled"}
    assert reason_of(stack, "cancelGenerations") == "the provider did not respond"
    assert reason_of(stack, "resume") == "it responds again"


async def confirm(hands: Hands, verb: str, reason: str) -> None:
    """Give the reason, and do it."""
    dialog = hands.page.get_by_role("dialog")
    await hands.fill(dialog.get_by_label("Reason"), reason)
    await hands.press(verb, inside=dialog)
    await expect(dialog).to_have_count(0)


def resume(stack: Stack) -> None:
    """Leave nothing paused to the tests after this one."""
    paused = stack.call("GET", "/v1/ops/pauses", stack.admin)["data"]
    for one in paused:
        stack.call("DELETE", f"/v1/ops/pauses/{one['kind']}/{one['name']}", stack.admin)
