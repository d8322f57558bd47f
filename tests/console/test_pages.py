"""What `check_appearance` finds, of which the pages have nothing to show."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.console.pages import Windows, check_appearance
from tests.console.stack import Stack

PAGE = """<!doctype html><html lang="en"><title>A page</title><style>
:root {{ color-scheme: light dark; }}
body {{ background: #fff; color: #000; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #000; color: #fff; }} {dark} }}
{style}
</style><main><h1>A page</h1>{body}</main></html>"""
CALLS = '<article class="call"><p>One</p></article><article class="call"><p>Two</p></article>'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: Browser, stack: Stack) -> AsyncIterator[Page]:
    """One page, on which each test writes another."""
    windows = Windows(browser, stack.address)
    yield await (await windows.browse(None)).new_page()
    await windows.close()


async def show(page: Page, body: str, style: str = "", dark: str = "") -> None:
    await page.set_content(PAGE.format(body=body, style=style, dark=dark))


async def test_a_page_without_a_fault_is_let_be(page: Page) -> None:
    await show(page, CALLS)
    await check_appearance(page, alike=".call", everywhere=True)
    assert await page.locator(".call").all_text_contents() == ["One"]


@pytest.mark.parametrize(
    ("body", "style", "dark", "found"),
    [
        ("<p>Pale</p>", "", "p { color: #222; }", "dark, 320 px: .*color-contrast"),
        ("<p>Pale</p>", "p { color: #ddd; }", "p { color: #fff; }", "light, 320 px: .*color-contrast"),
        ("<p>Pale</p>", "@media (width < 400px) { p { color: #888; } }", "", "light, 320 px: .*color-contrast"),
        (CALLS + '<article class="call"><p class="pale">Three</p></article>', ".pale { color: #999; }", "", "contrast"),
        (CALLS + '<article class="call"><p><input></p></article>', "", "", "label"),
        ("<ul><li>One<li>Two<li class=pale>Three</ul>", ".pale { color: #999; }", "", "contrast"),
        ("<ul><li>One<li>Two<li>Three</ul>", "li:nth-child(3) { background: #666; }", "", "contrast"),
        ("<div style='width: 500px'>Wide</div>", "", "", "too wide"),
        ("<table><tr><th>A</th></tr></table>", "", "", "no name"),
    ],
    ids=["dark", "light", "narrow", "unlike", "unlabelled", "unlike item", "third item", "wide", "table"],
)
async def test_a_fault_is_found(page: Page, body: str, style: str, dark: str, found: str) -> None:
    await show(page, body, style, dark)
    with pytest.raises(AssertionError, match=f"(?s){found}"):
        await check_appearance(page, alike=".call", everywhere=True)


async def test_equal_elements_have_their_colours_checked_once(page: Page) -> None:
    await show(page, CALLS + "<article class='call'><p>Three <img src='data:,'></p></article>")
    with pytest.raises(AssertionError, match="image-alt"):
        await check_appearance(page, alike=".call", everywhere=True)
    assert await page.locator("[data-alike]").all_text_contents() == ["Two"]
