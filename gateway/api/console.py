"""The console's files, served from memory: pages at `/`, and what they load below `/static/`.

A page is one HTML file: its title, then the contents of the frame's `<main>`; a file that starts with a doctype is a
complete page. Adding a file adds a page; a stylesheet with a page's name is used on that page only. Pages refer to
their files by a digest of all of them, so these can be cached forever: an updated gateway uses other URLs.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web

STATIC = "/static/"
HOME = "generate"
PAGE_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"  # cached, but revalidated each time, by its ETag
_IMPORT = re.compile(r"""^import\b[^"';]*["']\./([\w-]+\.js)["']""", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*$", re.MULTILINE | re.DOTALL)  # on lines of its own
_AROUND = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")  # insignificant white space in CSS
_DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """A file to send, plain and compressed."""

    content: bytes
    content_type: str
    etag: str
    compressed: bytes

    @classmethod
    def of(cls, content: bytes, content_type: str) -> Self:
        """Compress and hash a file once, at the start."""
        etag = hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]
        return cls(content, content_type, etag, gzip.compress(content, mtime=0))

    def respond(self, request: web.Request, cache: str = _ASK_AGAIN, policy: str = PAGE_POLICY) -> web.Response:
        """Send it, or a 304 if the client's copy is current."""
        headers = {"Cache-Control": cache, "Vary": "Accept-Encoding", "ETag": f'W/"{self.etag}"'}
        # Also with a 304, whose headers replace the cached ones.
        # With `no-referrer`, a browser would send our own forms and calls with the origin `null`.
        headers |= {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
        if any(known.value in {self.etag, "*"} for known in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = self.content
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = self.compressed
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers, content_type=self.content_type, charset="utf-8")


@dataclass(frozen=True, slots=True)
class Console:
    """All pages by path, all other files by name."""

    pages: dict[str, Asset]
    static: dict[str, Asset]
    digest: str
    policy: str = field(default=PAGE_POLICY)

    @classmethod
    def read(cls, public_address: str, folder: Path | None = None) -> Self:
        """Read the package's files. `public_address` is the origin of outputs' URLs."""
        texts = {path.name: _lean(path) for path in sorted((folder or _folder()).iterdir()) if path.is_file()}
        digest = hashlib.sha256(b"".join(texts.values())).hexdigest()[:_DIGEST_DIGITS]
        static = {
            name: Asset.of(content, _TYPES[Path(name).suffix])
            for name, content in texts.items()
            if Path(name).suffix in _TYPES and not name.endswith(".html")
        }
        scripts = {name: content.decode() for name, content in texts.items() if name.endswith(".js")}
        frame = texts["frame.html"].decode()
        pages = {}
        for name, content in texts.items():
            stem = name.removesuffix(".html")
            if name.endswith(".html") and name != "frame.html":
                page = _page(stem, content.decode(), frame, scripts, static.keys())
                pages[path_of(stem)] = Asset.of(page.replace(STATIC, f"{STATIC}{digest}/").encode(), "text/html")
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(public_address))
        outputs = f"; img-src 'self' {origin}; media-src 'self' {origin}"
        return cls(pages, static, digest, PAGE_POLICY + outputs)


CONSOLE = web.AppKey("CONSOLE", Console)


async def page(request: web.Request) -> web.Response:
    """`GET /`, `GET /gallery`, …: one of the pages."""
    console = request.app[CONSOLE]
    return console.pages[request.path].respond(request, policy=console.policy)


async def static(request: web.Request) -> web.Response:
    """`GET /static/{name}` and `GET /static/{digest}/{name}`: files that pages load."""
    console = request.app[CONSOLE]
    asset = console.static.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    # Another gateway may have served the page during an upgrade: then our file must not be cached under its URL.
    ours = request.match_info.get("digest") == console.digest
    return asset.respond(request, _FOR_EVER if ours else _ASK_AGAIN)


def mount(app: web.Application) -> None:
    """Add every page and file to the router."""
    for path in app[CONSOLE].pages:
        app.router.add_get(path, page)
    app.router.add_get(f"{STATIC}{{name}}", static)
    app.router.add_get(f"{STATIC}{{digest}}/{{name}}", static)


def path_of(stem: str) -> str:
    """A page's path: `gallery.html` at `/gallery`, the first one at `/`."""
    return "/" if stem == HOME else f"/{stem}"


def _folder() -> Path:
    return Path(str(files("gateway") / "console"))


def _lean(path: Path) -> bytes:
    """A file's content to send: scripts and styles without comments and indentation, which are half of them."""
    text = path.read_text()
    if path.suffix in {".js", ".css"}:
        lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
        text = "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"
    if path.suffix == ".css":
        text = _AROUND.sub(r"\1", text)
    return text.encode()


def _page(stem: str, text: str, frame: str, scripts: dict[str, str], names: Collection[str]) -> str:
    """The complete page: in the frame, marked in the navigation, with its scripts preloaded in parallel."""
    if text.startswith("<!doctype"):
        return text
    title, _, main = text.partition("</title>")
    link = f'href="{path_of(stem)}"'
    own = (f'<link rel="stylesheet" href="{STATIC}{name}">' for name in {f"{stem}.css"} & set(names))
    modules = (f'<link rel="modulepreload" href="{STATIC}{name}">' for name in _imported(f"{stem}.js", scripts))
    script = f'<script type="module" src="{STATIC}{stem}.js"></script>'
    return (
        frame.replace("<!--title-->", title.removeprefix("<title>"))
        .replace("<!--main-->", main.strip())
        .replace("<!--scripts-->", "\n".join((*own, *modules, script)))
        .replace(link, f'{link} aria-current="page"')
    )


def _imported(name: str, scripts: dict[str, str]) -> list[str]:
    """All modules that a script imports, directly or not, by its static imports."""
    found: dict[str, None] = {}
    to_read = [name]
    while to_read:
        for imported in _IMPORT.findall(scripts.get(to_read.pop(), "")):
            if imported not in found:
                found[imported] = None
                to_read.append(imported)
    return list(found)
