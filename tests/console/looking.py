"""Looking at a page as its readers do: with axe, in both themes, on a wide and on a narrow screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from tests.console.stack import Account, Stack

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (320, 1360)
_HEIGHT = 900

_COLOURS = ("color-contrast", "link-in-text-block")  # all that a theme changes, and most of the time that axe takes
_ALL_BUT_COLOURS = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in _COLOURS}}
_ONLY_COLOURS = {"resultTypes": ["violations"], "runOnly": _COLOURS}
_AXE = "async ([where, options]) => (await axe.run(where, options)).violations"

# Marks each element in which every part, by the tags and classes of all that it is in, is also in one before it.
_MARK_ALIKE = """(selector) => {
  const seen = new Set();
  const partsOf = (element, path) => {
    const here = `${path}>${element.tagName}.${element.className}`;
    return [here, ...[...element.children].flatMap((child) => partsOf(child, here))];
  };
  for (const element of document.querySelectorAll(selector)) {
    const parts = partsOf(element, '');
    element.toggleAttribute('data-alike', parts.every((part) => seen.has(part)));
    parts.forEach((part) => seen.add(part));
  }
}"""

# Every row of a table has as many cells as its head, and everything in a table is in a row of it: a text that is not
# is moved out of the table by the parser, where neither axe nor a screen reader finds it.
_TABLES = """() => [...document.querySelectorAll('table')].flatMap((table) => {
  const width = (row) => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0);
  const widths = new Set([...table.rows].map(width));
  const named = table.caption || table.closest('[aria-label], [aria-labelledby]') || table.ariaLabel;
  const headed = [...table.querySelectorAll('th')].every((head) => head.scope);
  const wrong = {'rows of different widths': widths.size > 1, 'no name': !named, 'a head without scope': !headed};
  return Object.keys(wrong).filter((reason) => wrong[reason]).map((reason) => `${reason}: ${table.outerHTML}`);
})"""


@dataclass
class Windows:
    """Opens pages, and keeps what went wrong in them."""

    browser: Browser
    stack: Stack
    problems: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    async def browse(self, account: Account | str | None, *, width: int = 1360) -> BrowserContext:
        """A browser of somebody's own, signed in with the account's key, with a key, or not at all."""
        context = await self.browser.new_context(
            base_url=self.stack.address, viewport={"width": width, "height": _HEIGHT}, reduced_motion="reduce"
        )
        context.set_default_timeout(60_000)
        self._contexts.append(context)
        context.on("page", self._watch)
        if account is not None:
            key = account.key if isinstance(account, Account) else account
            origin = {"Origin": self.stack.address}
            answer = await context.request.post("/session", data={"key": key}, headers=origin)
            assert answer.status == 201, await answer.text()
        return context

    async def open(self, path: str, account: Account | str | None, *, width: int = 1360) -> Page:
        """A page in a browser of its own."""
        page = await (await self.browse(account, width=width)).new_page()
        await page.goto(path)
        return page

    async def close(self) -> None:
        """Close every browser."""
        for context in self._contexts:
            await context.close()

    def _watch(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text}")

    def _see(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in {"http", "https"} and f"{url.scheme}://{url.netloc}" != self.stack.address:
            self.problems.append(f"a request to {request.url}")


async def check_looks(page: Page, *, alike: str | None = None) -> None:
    """No violation that axe finds, no sideways scrolling, whole tables: light and dark, wide and narrow.

    `alike` selects what a long page repeats. The colours of each are looked at only if it has a part that none before
    it had; all else is looked at everywhere.
    """
    size = page.viewport_size
    if alike is not None:
        await page.evaluate(_MARK_ALIKE, alike)
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": _HEIGHT})
        overflow = await page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, f"{page.url} at {width} px is {overflow} px too wide"
        wrong = await page.evaluate(_TABLES) + await _violations(page, {"include": [["html"]]}, _ALL_BUT_COLOURS)
        assert wrong == [], f"{page.url}, {width} px: {wrong}"
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme)
            wrong = await _violations(page, {"exclude": [["[data-alike]"]]}, _ONLY_COLOURS)
            assert wrong == [], f"{page.url}, {theme}, {width} px: {wrong}"
    await page.emulate_media(color_scheme="light")
    if size is not None:
        await page.set_viewport_size(size)


async def _violations(page: Page, where: dict[str, Any], options: dict[str, Any]) -> list[str]:
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(Axe().axe_script)
    found: list[dict[str, Any]] = await page.evaluate(_AXE, [where, options])
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}" for one in found]
