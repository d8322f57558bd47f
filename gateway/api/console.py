"""The console's files, served from memory: pages at `/`, and what they load below `/static/`.

A page is one HTML file: its title, then the contents of the frame's `<main>`; a file that starts with a doctype is a
complete page. Adding a file adds a page; a stylesheet is for the page of its name, or for those whose scripts import
the one of its name. Pages refer to their files by a digest of all of them and of what makes them lean, so these can be
cached forever: an updated gateway uses other URLs. A browser gets `missing.html` for a path that does not exist, other
clients the API's error.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from gateway.api.bundles import home_of, joined, with_short_exports
from gateway.api.lean import lean_script, lean_style

STATIC = "/static/"
_PATHS = {"generate": "/", "generation": "/generations/{generation}"}  # all others are named like their file
_MISSING = "missing.html"
_OF_ACCOUNT = frozenset(
    {"generate", "gallery", "usage", "journal", "keys", "members", "alerts", "purchases"}
)  # no operator's
_OF_OPERATORS = frozenset({"accounts", "audit-log", "margin", "operations", "work"})
_PUBLIC = frozenset({"prices", "plans", "estimator", "docs"})  # are shown without signing in
PAGE_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Of what is sent, from the files as they are written.
_MAKERS = ("bundles.py", "lean.py", "script_scopes.py", "script_tokens.py", "script_words.py", "short_names.py")
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"  # cached, but revalidated each time, by its ETag
_IMPORT = re.compile(r"""^import\b[^"';]*["']\./([\w-]+\.js)["']""", re.MULTILINE)
_DIGEST_DIGITS = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Asset:
    """A file to send, made lean, hashed and compressed when it is first asked for."""

    source: str
    content_type: str
    lean: Callable[[str], str] = str

    @cached_property
    def content(self) -> bytes:
        """What is sent."""
        return self.lean(self.source).encode()

    async def made(self) -> Self:
        """Itself, with its content: made in a thread the first time, since requests in progress go on meanwhile."""
        if "compressed" not in self.__dict__:
            await asyncio.to_thread(lambda: (self.compressed, self.etag))
        return self

    @cached_property
    def etag(self) -> str:
        """Changes with the content."""
        return _digest(self.content)

    @cached_property
    def compressed(self) -> bytes:
        """The content for clients that accept gzip."""
        return gzip.compress(self.content, mtime=0)

    def respond(
        self,
        request: web.Request,
        cache: str = _ASK_AGAIN,
        policy: str = PAGE_POLICY,
        status: int = HTTPStatus.OK,
    ) -> web.Response:
        """Send it, or a 304 if the client's copy is current."""
        headers = {"Cache-Control": cache, "Vary": "Accept-Encoding", "ETag": f'W/"{self.etag}"'}
        # Also with a 304, whose headers replace the cached ones.
        # With `no-referrer`, a browser would send our own forms and calls with the origin `null`.
        headers |= {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
        current = any(known.value in {self.etag, "*"} for known in request.if_none_match or ())
        if current and status == HTTPStatus.OK:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = self.content
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = self.compressed
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers, status=status, content_type=self.content_type, charset="utf-8")


@dataclass(frozen=True, slots=True)
class Console:
    """All pages by path, all other files by name."""

    pages: dict[str, Asset]
    missing: Asset
    static: dict[str, Asset]
    digest: str
    texts: Mapping[str, str] = field(repr=False)
    policy: str = field(default=PAGE_POLICY)

    @classmethod
    def read(cls, public_address: str, folder: Path | None = None) -> Self:
        """Read the package's files. `public_address` is the origin of outputs' URLs."""
        texts = {path.name: path.read_text() for path in sorted((folder or _folder()).iterdir()) if path.is_file()}
        digest = _digest("".join([*texts.values(), *map(_maker, _MAKERS)]).encode())
        scripts = {name: texts.pop(name) for name in list(texts) if name.endswith(".js")}
        texts |= joined(scripts, {name.removesuffix(".html") for name in texts if name.endswith(".html")})
        # Shortened together, when the first of them is asked for: no start waits for it.
        short = _once(lambda: with_short_exports({name: text for name, text in texts.items() if name.endswith(".js")}))
        static = {
            name: Asset(text, _TYPES[Path(name).suffix], _lean_of(name, short))
            for name, text in texts.items()
            if Path(name).suffix in _TYPES and not name.endswith(".html")
        }
        pages = {}
        for name, text in texts.items():
            stem = name.removesuffix(".html")
            if name.endswith(".html") and name != "frame.html":
                pages[path_of(stem)] = _framed(stem, text, texts, digest)
        missing = pages.pop(path_of(_MISSING.removesuffix(".html")))
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(public_address))
        outputs = f"; img-src 'self' {origin}; media-src 'self' {origin} blob:"  # an input, before it is sent
        return cls(pages, missing, static, digest, texts, PAGE_POLICY + outputs)

    def framed(self, stem: str, text: str) -> Asset:
        """A page that is made elsewhere, from its title and contents; its script and stylesheet are `stem`'s."""
        return _framed(stem, text, self.texts, self.digest)


CONSOLE = web.AppKey("CONSOLE", Console)


async def page(request: web.Request) -> web.Response:
    """`GET /`, `GET /gallery`, …: one of the pages."""
    return _respond(request, request.path)


async def generation_page(request: web.Request) -> web.Response:
    """`GET /generations/{generation}`: its page for a browser; other clients are sent to the API."""
    if not asks_for_page(request):
        location = f"/v1/generations/{request.match_info['generation']}"
        return web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": location, "Vary": "Accept"})
    response = _respond(request, _PATHS["generation"])
    response.headers["Vary"] = "Accept, Accept-Encoding"
    return response


def asks_for_page(request: web.Request) -> bool:
    """Whether a browser is going to a page: it asks for HTML, which scripts and API clients do not."""
    return request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("Accept", "")


def missing_page(request: web.Request) -> web.Response:
    """The page for a path that does not exist, with ways back."""
    return request.app[CONSOLE].missing.respond(request, status=HTTPStatus.NOT_FOUND)


def _respond(request: web.Request, path: str) -> web.Response:
    console = request.app[CONSOLE]
    return console.pages[path].respond(request, policy=console.policy)


async def static(request: web.Request) -> web.Response:
    """`GET /static/{name}` and `GET /static/{digest}/{name}`: files that pages load."""
    console = request.app[CONSOLE]
    asset = console.static.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    # Another gateway may have served the page during an upgrade: then our file must not be cached under its URL.
    ours = request.match_info.get("digest") == console.digest
    return (await asset.made()).respond(request, _FOR_EVER if ours else _ASK_AGAIN)


def mount(app: web.Application) -> None:
    """Add every page and file to the router."""
    for path in app[CONSOLE].pages:
        app.router.add_get(path, generation_page if path == _PATHS["generation"] else page)
    app.router.add_get(f"{STATIC}{{name}}", static)
    app.router.add_get(f"{STATIC}{{digest}}/{{name}}", static)


def path_of(stem: str) -> str:
    """A page's path: `gallery.html` at `/gallery`, the first one at `/`."""
    return _PATHS.get(stem, f"/{stem}")


def _once(make: Callable[[], T]) -> Callable[[], T]:
    """`make`, called once by whichever thread is first; the others wait for it, as with no cache of the library."""
    lock, made = threading.Lock(), list[T]()

    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get


def _lean_of(name: str, short: Callable[[], Mapping[str, str]]) -> Callable[[str], str]:
    match Path(name).suffix:
        case ".js":
            return lambda _: lean_script(short()[name])
        case ".css":
            return lean_style
        case _:
            return str


def _folder() -> Path:
    return Path(str(files("gateway") / "console"))


def _maker(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]


def _framed(stem: str, text: str, texts: Mapping[str, str], digest: str) -> Asset:
    page = _page(stem, text, texts["frame.html"], texts)
    return Asset(page.replace(STATIC, f"{STATIC}{digest}/"), "text/html")


def _page(stem: str, text: str, frame: str, files: Mapping[str, str]) -> str:
    """The complete page: in the frame, marked in the navigation, with its scripts preloaded in parallel."""
    if text.startswith("<!doctype"):
        return text
    title, _, main = text.partition("</title>")
    link = f'href="{path_of(stem)}"'
    home = f"{home_of(stem)}.js"
    imported = _imported(home, files)
    styles = (f"{name.removesuffix('.js')}.css" for name in (stem, *imported))
    own = (f'<link rel="stylesheet" href="{STATIC}{name}">' for name in styles if name in files)
    modules = (f'<link rel="modulepreload" href="{STATIC}{name}">' for name in imported)
    script = f'<script type="module" src="{STATIC}{home}"></script>'
    return (
        frame.replace(
            "<!--kind-->",
            " of-account" * (stem in _OF_ACCOUNT)
            + " of-operators" * (stem in _OF_OPERATORS)
            + " public" * (stem in _PUBLIC),
        )
        .replace("<!--page-->", stem)
        .replace("<!--title-->", title.removeprefix("<title>"))
        .replace("<!--main-->", main.strip())
        .replace("<!--scripts-->", "\n".join((*own, *modules, script)))
        .replace(link, f'{link} aria-current="page"')
    )


def _imported(name: str, files: Mapping[str, str]) -> list[str]:
    """All modules that a script imports, directly or not, by its static imports."""
    found: dict[str, None] = {}
    to_read = [name]
    while to_read:
        for imported in _IMPORT.findall(files.get(to_read.pop(), "")):
            if imported not in found:
                found[imported] = None
                to_read.append(imported)
    return list(found)
