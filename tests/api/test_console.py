"""The console's pages and files as they are sent: whole, small, kept by browsers, and closed to other origins."""

from __future__ import annotations

import gzip
import re
import shutil
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.api.console import CONSOLE, Console
from gateway.api.description.operations import NAMES
from tests.api.visitor import Visitor, console

CONSOLE_MAX_BYTES = 90 * 1024
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FOLDER = Path(str(files("gateway") / "console"))


async def test_a_page_is_whole_and_everything_that_it_names_is_there(gateway: Visitor) -> None:
    there: set[str] = set()
    for path in gateway.app[CONSOLE].pages:
        reply = await gateway.call("GET", path.replace("{generation}", "gen_1"), None, None, BROWSER)
        text = reply.raw.decode()
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), path
        assert "<!--" not in text, "the frame has a place that nothing was put into"
        assert "style=" not in text, path
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == [], path
        named = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', text))
        for name in named - there:
            assert (await gateway.call("GET", name)).status == 200, (path, name)
        there |= named
        assert any(name.endswith("console.css") for name in named), path


async def test_an_address_is_a_page_for_browsers_and_json_for_programs(gateway: Visitor, key: str) -> None:
    made = await gateway.made(key)
    path = f"/generations/{made}"
    page = await gateway.call("GET", path, None, None, BROWSER)
    assert (page.status, page.headers["Vary"]) == (200, "Accept, Accept-Encoding")
    assert (await gateway.call("GET", path, key)).body["id"] == made
    known = {"If-None-Match": page.headers["ETag"]}
    assert (await gateway.call("GET", path, None, None, BROWSER | known)).status == 304
    for wrong in ("/galery", "/static/none.js", "/v1/generation"):
        page = await gateway.call("GET", wrong, None, None, BROWSER)
        assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert b'href="/gallery"' in page.raw
        assert (await gateway.call("GET", wrong)).code == "not_found"
    assert (await gateway.call("POST", "/galery", None, {}, BROWSER)).code == "not_found"


async def test_pages_load_nothing_from_elsewhere_but_outputs_from_their_public_address(gateway: Visitor) -> None:
    policy = (await gateway.call("GET", "/")).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    public = re.search(r"img-src 'self' (\S+);", policy)
    assert public
    assert public[1].startswith("http://127.0.0.1:")


async def test_the_same_page_is_not_sent_twice_and_keeps_its_headers(gateway: Visitor) -> None:
    """A 304's headers take the place of those that a browser has kept.

    Without a policy of its own it got the API's, `default-src 'none'`: a page that was opened again loaded no script.
    """
    first = await gateway.call("GET", "/gallery")
    again = await gateway.call("GET", "/gallery", None, None, {"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.raw) == (304, b"")
    for name in ("Content-Security-Policy", "Referrer-Policy", "Cache-Control", "ETag"):
        assert again.headers[name] == first.headers[name]


async def test_files_are_cached_forever_only_under_this_versions_url(gateway: Visitor) -> None:
    page = (await gateway.call("GET", "/")).raw.decode()
    (style,) = re.findall(r'href="(/static/\w+/console\.css)"', page)
    assert "immutable" in (await gateway.call("GET", style)).headers["Cache-Control"]
    for other in ("/static/console.css", "/static/0123456789abcdef/console.css"):
        reply = await gateway.call("GET", other)
        assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-cache")
    for missing in ("/static/none.css", "/static/frame.html", "/static/x/../frame.html"):
        assert (await gateway.call("GET", missing)).status == 404


def test_files_have_other_urls_once_they_are_made_in_another_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Or a browser keeps an old bundle beside a new page, which imports from it what has moved there since."""
    makers = ("", "bundles.py", "lean.py", "script_scopes.py", "script_tokens.py", "script_words.py", "short_names.py")
    digests = []
    for name in ("frame.html", "missing.html"):
        shutil.copy(FOLDER / name, tmp_path)
    for changed in makers:
        monkeypatch.setattr("gateway.api.console._maker", {name: name * (name == changed) for name in makers}.get)
        digests.append(Console.read("http://127.0.0.1:8080", tmp_path).digest)
    assert len(set(digests)) == len(makers)


async def test_files_are_compressed_for_those_who_take_it(gateway: Visitor) -> None:
    async with gateway.session.get(
        f"{gateway.address}/static/console.css", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        small = await response.read()
    plain = await gateway.call("GET", "/static/console.css", None, None, {"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(small) == plain.raw


def test_no_script_imports_itself_by_way_of_others() -> None:
    """Six scripts did: none of them could be read, or changed, without the other five. Late imports count too."""
    imports = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*"\./([\w-]+\.js)\"""")
    imported = {path.name: set(imports.findall(path.read_text())) for path in FOLDER.glob("*.js")}
    assert imported["shell.js"] >= {"api.js", "credits.js"}, "the pattern finds what is imported at once, and late"
    TopologicalSorter(imported).prepare()  # CycleError names the scripts of a circle


def test_what_is_loaded_late_is_asked_for_again_and_its_failure_is_said_in_words() -> None:
    """A click on a picture did nothing while Farebox was away; others said that a module could not be fetched."""
    late = [line for path in FOLDER.glob("*.js") for line in path.read_text().splitlines() if "import(" in line]
    assert len(late) > 1
    assert [line for line in late if line.count("import(") != line.count("retried(() => import(")] == []


def test_the_audit_logs_filter_offers_calls_that_exist() -> None:
    """A name that is none would find nothing, and look as if nothing had been done."""
    script = (FOLDER / "audit-log.js").read_text()
    listed = re.search(r"ACTIONS = \[(.*?)\]", script, re.DOTALL)
    assert listed
    offered = re.findall(r'"(\w+)"', listed[1])
    assert set(offered) - set(NAMES.values()) == set()


def test_the_console_is_small() -> None:
    """Every file once, as it is sent: the frame is part of each page, and its bytes are counted with the files."""
    pages = (path.read_bytes() for path in FOLDER.glob("*.html"))
    static = console("http://127.0.0.1:8080").static.values()
    sizes = [*(len(gzip.compress(page)) for page in pages), *(len(one.compressed) for one in static)]
    assert sum(sizes) < CONSOLE_MAX_BYTES
