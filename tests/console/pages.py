"""Looking at a page as its readers do: with axe, in both themes, on a wide and on a narrow screen."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, ViewportSize
from playwright.async_api import TimeoutError as PageTimeoutError

from gateway.api.bundles import joined
from gateway.api.short_names import short_exports
from tests.console.stack import Account
from tests.lengths import LONG
from tests.until import until

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (320, 1360)
_HEIGHT = 900

_COLOURS = ("color-contrast", "link-in-text-block")  # all that a theme changes, and most of the time that axe takes
_ALL_BUT_COLOURS = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in _COLOURS}}
_ONLY_COLOURS = {"resultTypes": ["violations"], "runOnly": _COLOURS}
_AXE = """async ([options, colours]) =>
  (await axe.run(colours ? {exclude: ['[data-alike]']} : document, options)).violations"""
_REPEATED = "tr, li, label, article"

# Marks each element in which every part, by the tags, classes and looks of all that it is in, is also in one before it.
_MARK_ALIKE = """(selector) => {
  const seen = new Set();
  const partsOf = (element, path) => {
    const {color, backgroundColor, backgroundImage, fontSize, fontWeight, opacity} = getComputedStyle(element);
    const looks = [color, backgroundColor, backgroundImage, fontSize, fontWeight, opacity].join();
    const here = `${path}>${element.tagName}.${element.className}{${looks}}`;
    return [here, ...[...element.children].flatMap((child) => partsOf(child, here))];
  };
  for (const element of document.querySelectorAll(selector)) {
    const parts = partsOf(element, '');
    element.toggleAttribute('data-alike', parts.every((part) => seen.has(part)));
    parts.forEach((part) => seen.add(part));
  }
}"""

_TOO_WIDE = "() => document.documentElement.scrollWidth - innerWidth"
_STEADY_MS = 20_000  # how long what was just drawn may take to fit; nothing asserts it

_UNMARK = "() => document.querySelectorAll('[data-alike]').forEach((element) => element.removeAttribute('data-alike'))"

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
class KeptPage:
    """A page that goes from test to test as if it were new. One that is new costs Chromium a process and a window."""

    page: Page | None = None

    async def take(self, browser: Browser, address: str, width: int) -> Page:
        """It, for one who gives it back."""
        page, self.page = self.page, None
        if page is None:
            page = await (await _new_context(browser, address, width)).new_page()
        await page.set_viewport_size({"width": width, "height": _HEIGHT})
        return page

    async def give_back(self, page: Page, address: str) -> None:
        """Forget who was signed in, and all that their pages have kept or were granted.

        A page still on its way to another when its test ended is not kept: the one navigation aborts the other.
        """
        context = page.context
        for other in context.pages:
            if other != page:
                await other.close()
        await page.unroute_all(behavior="ignoreErrors")
        try:
            await page.goto(f"{address}/healthz")  # no script runs there that would write again
        except Error:
            await context.close()
            return
        await page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        await context.clear_cookies()
        await context.clear_permissions()
        await page.emulate_media(color_scheme="light", media="null")
        await page.goto("about:blank")
        self.page = page


@dataclass
class Windows:
    """Opens pages, and keeps what went wrong in them."""

    browser: Browser
    address: str
    kept: KeptPage | None = None
    problems: list[str] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)
    _contexts: list[BrowserContext] = field(default_factory=list)
    _taken: Page | None = None

    async def browse(self, account: Account | str | None, *, width: int = 1360) -> BrowserContext:
        """A browser of somebody's own, signed in with the account's key, with a key, or not at all."""
        context = await _new_context(self.browser, self.address, width)
        self._contexts.append(context)
        context.on("page", self._watch)
        await self._sign_in(context, account)
        return context

    async def open(self, path: str, account: Account | str | None, *, width: int = 1360) -> Page:
        """A page in a browser of its own."""
        if self.kept is None or self._taken is not None:
            page = await (await self.browse(account, width=width)).new_page()
        else:
            page = self._taken = await self.kept.take(self.browser, self.address, width)
            page.context.on("page", self._watch)
            self._watch(page)
            await self._sign_in(page.context, account)
        await page.goto(path)
        return page

    def allow(self, *parts: str) -> None:
        """Take what has one of these parts for no problem: the browser notes a refusal by itself, at any time after."""
        self.allowed.update(parts)

    async def noted(self, part: str) -> None:
        """Return when the browser has noted something with this part, which is no problem."""
        await until(lambda: any(part in problem for problem in self.problems))
        self.allow(part)

    @property
    def unexpected(self) -> list[str]:
        """The problems so far that are not allowed."""
        return [problem for problem in self.problems if not any(part in problem for part in self.allowed)]

    async def close(self) -> None:
        """Close every browser but the one that is kept."""
        for context in self._contexts:
            await context.close()
        if self._taken is not None and self.kept is not None:
            self._taken.context.remove_listener("page", self._watch)
            for event, heard in self._heard():
                self._taken.remove_listener(event, heard)
            await self.kept.give_back(self._taken, self.address)

    async def _sign_in(self, context: BrowserContext, account: Account | str | None) -> None:
        if account is not None:
            key = account.key if isinstance(account, Account) else account
            origin = {"Origin": self.address}
            answer = await context.request.post("/session", data={"key": key}, headers=origin)
            assert answer.status == 201, await answer.text()

    def _watch(self, page: Page) -> None:
        for event, heard in self._heard():
            page.on(event, heard)

    def _heard(self) -> list[tuple[Any, Callable[[Any], None]]]:
        return [("console", self._hear), ("pageerror", self._catch), ("request", self._see)]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text}")

    def _catch(self, error: Error) -> None:
        self.problems.append(f"uncaught: {error}")

    def _see(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in {"http", "https"} and f"{url.scheme}://{url.netloc}" != self.address:
            self.problems.append(f"a request to {request.url}")


async def _new_context(browser: Browser, address: str, width: int) -> BrowserContext:
    size = ViewportSize(width=width, height=_HEIGHT)
    context = await browser.new_context(base_url=address, viewport=size, reduced_motion="reduce")
    context.set_default_timeout(60_000)
    return context


def imported(bundle: str) -> str:
    """Code of an async function: a bundle that the page has loaded, or the server's, by its modules' names."""
    texts = {path.name: path.read_text() for path in (files("gateway") / "console").iterdir()}
    scripts = {name: text for name, text in texts.items() if name.endswith(".js")}
    names = short_exports(joined(scripts, {name.removesuffix(".html") for name in texts if name.endswith(".html")}))
    return f"""await (async () => {{
      const loaded = performance.getEntriesByType("resource").map(({{ name }}) => name);
      const sent = await import(loaded.find((name) => name.endsWith("/{bundle}.js")) ?? "/static/{bundle}.js");
      return new Proxy(sent, {{ get: (_, name) => sent[{json.dumps(names)}[name] ?? name] }});
    }})()"""


async def note_events(page: Page) -> None:
    """Have a page that is connected note the live events it is told of from now on."""
    await page.evaluate(
        """() => {
            window.noted = [];
            new BroadcastChannel("farebox-live").onmessage = ({ data }) => window.noted.push(data);
        }"""
    )


async def until_notified(page: Page, generation: str, status: str) -> None:
    """Return when the page got an event with this status of a generation."""
    told = "([id, status]) => window.noted.some(({ data }) => data?.id === id && data.status === status)"
    await page.wait_for_function(told, arg=[generation, status])


async def notify_missed(page: Page) -> None:
    """Tell a page that it may have missed events."""
    await page.evaluate("() => new BroadcastChannel('farebox-live').postMessage({ kind: 'again', data: null })")


async def pay(page: Page) -> None:
    """Pay a test purchase on the gateway's own payment page, and go back.

    Who leaves the page right after the press may cut off the payment.
    """
    await page.wait_for_url("**/checkout/*")
    await page.get_by_role("button", name="Pay").click()
    await page.get_by_role("link", name="back to Farebox").click()


async def settle(page: Page) -> None:
    """Return when what waited for an answer that has arrived has run."""
    await page.evaluate("() => new Promise((done) => setTimeout(done))")


async def resize(page: Page, width: int) -> None:
    """Make the window so wide, and return when what follows its size, as charts do, has followed."""
    await page.set_viewport_size({"width": width, "height": _HEIGHT})
    await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def check_appearance(page: Page, *, alike: str | None = None, everywhere: bool = LONG) -> None:
    """No violation that axe finds, no sideways scrolling, whole tables: light and dark, wide and narrow.

    The colours of a row, or of another element that is repeated, are looked at if it has a part that looks like none
    before it. `alike` selects what a very long page repeats: those whose parts all stand in one before them are taken
    out of the page, for axe walks the whole page at each look. Both themes at both widths, and before that all but the
    colours of each of what is alike, are looked at only `everywhere`.
    """
    size = page.viewport_size
    for width in WIDTHS:
        await resize(page, width)
        with contextlib.suppress(PageTimeoutError):  # it is said below what is wrong
            await page.wait_for_function(f"() => ({_TOO_WIDE})() <= 0 && !({_TABLES})().length", timeout=_STEADY_MS)
        overflow = await page.evaluate(_TOO_WIDE)
        assert overflow <= 0, f"{page.url} at {width} px is {overflow} px too wide"
        wrong = await page.evaluate(_TABLES)
        assert wrong == [], f"{page.url}, {width} px: {wrong}"
    if alike is not None:
        await page.evaluate(_MARK_ALIKE, alike)
        for width in WIDTHS if everywhere else ():
            await resize(page, width)
            await _find_no_violation(page, f"{width} px", _ALL_BUT_COLOURS)
        await page.evaluate("() => document.querySelectorAll('[data-alike]').forEach((element) => element.remove())")
    for width, theme in zip(WIDTHS, THEMES, strict=True):
        await resize(page, width)
        await _find_no_violation(page, f"{width} px", _ALL_BUT_COLOURS)
        for scheme in THEMES if everywhere else (theme,):
            await page.emulate_media(color_scheme=scheme)
            await page.evaluate(_MARK_ALIKE, _REPEATED)
            await _find_no_violation(page, f"{scheme}, {width} px", _ONLY_COLOURS)
    await page.emulate_media(color_scheme="light")
    await page.evaluate(_UNMARK)
    if size is not None:
        await page.set_viewport_size(size)


async def _find_no_violation(page: Page, seen_how: str, options: dict[str, Any]) -> None:
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(Axe().axe_script)
    found: list[dict[str, Any]] = await page.evaluate(_AXE, [options, options is _ONLY_COLOURS])
    wrong = [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}" for one in found]
    assert wrong == [], f"{page.url}, {seen_how}: {wrong}"


async def choose(page: Page, model: str) -> None:
    """Choose a model on the page to generate, by its name."""
    await page.get_by_role("radio", name=re.compile(rf"^{re.escape(model)}\b")).first.check(force=True)
