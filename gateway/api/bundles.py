"""Joins modules of the console into few files: fewer requests, and what is compressed together is smaller.

A module stays one for its readers. A bundle has its modules one after the other, each after those that it imports; no
two of them may have the same name at the top level. The script of a page is a block in it that runs on that page only.
What no other file needs is not exported, and what others need is, under a short name.

During an upgrade, gateways of two versions may answer a page, and a short name may be another function's in each. So
the first bundle exports a mark of all short names, and every file that imports from it imports the mark: files of two
versions do not run together.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter

from gateway.api.short_names import EXPORT, IMPORT, LATE_IMPORT, short_exports, with_names

_BASE = "base"
BUNDLES = {
    _BASE: ("amounts", "api", "copying", "dialog", "dom", "live", "shell", "tables", "times", "words"),
    "cards": ("generations", "outputs", "quotes", "updates"),
    "choices": ("forbidden", "models", "settings"),
    "details": ("details", "gallery", "generation", "receipts", "timeline"),
    "figures": ("margin", "usage"),
    "lists": ("account-journal", "journal"),
    "managing": ("fields", "forms", "pauses"),
    "media": ("players", "uploads"),
    "money": ("checkout", "credits", "plans", "ways-out"),
    "operators": ("accounts", "audit", "audit-log", "work"),
    "owners": ("alerts", "keys", "members", "purchases"),
    "pricing": ("estimator", "prices"),
    "webhooks": ("deliveries", "webhook-dialogs", "webhooks"),
}

_TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
_MARK_DIGITS = 4


def home_of(module: str) -> str:
    """The file that a module is in: its bundle's, or its own."""
    return next((bundle for bundle, inside in BUNDLES.items() if module in inside), module)


def bundled(scripts: Mapping[str, str], pages: Collection[str] = ()) -> dict[str, str]:
    """The files to send for these modules, by name: bundles, and those in none. `pages` have scripts of their name."""
    return with_short_exports(joined(scripts, pages))


def with_short_exports(files: Mapping[str, str]) -> dict[str, str]:
    """The same files with short names for what they export: a third of a second of work for the whole console."""
    names = short_exports(files)
    mark = "v" + hashlib.sha256(repr(sorted(names.items())).encode()).hexdigest()[:_MARK_DIGITS]
    return {name: _marked(name, with_names(text, names), mark) for name, text in files.items()}


def joined(scripts: Mapping[str, str], pages: Collection[str] = ()) -> dict[str, str]:
    """The same with the names that the modules have."""
    modules = {name.removesuffix(".js"): text for name, text in scripts.items()}
    files: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        files[home_of(module)].append(module)
    wanted = _wanted(modules)
    sent = {module: EXPORT.sub(lambda found: found[0] * (found[1] in wanted), text) for module, text in modules.items()}
    return {f"{name}.js": _joined(name, inside, sent, pages) for name, inside in files.items()}


def _wanted(modules: Mapping[str, str]) -> set[str]:
    """The names that a file needs from another one, and all of a module that is imported late."""
    found: set[str] = set()
    for module, text in modules.items():
        for names, needed in IMPORT.findall(text):
            if home_of(needed) != home_of(module):
                found |= set(names.split(", "))
        for needed in LATE_IMPORT.findall(text):
            found |= set(_TOP_LEVEL.findall(modules.get(needed, "")))
    return found


def _joined(name: str, inside: list[str], modules: Mapping[str, str], pages: Collection[str]) -> str:
    """One file: what it imports from others, then its modules, then what pages do with them."""
    needs = {module: [needed for _, needed in IMPORT.findall(modules[module])] for module in sorted(inside)}
    ordered = [module for module in TopologicalSorter(needs).static_order() if module in needs]
    taken: dict[str, set[str]] = defaultdict(set)
    for module in ordered:
        for names, needed in IMPORT.findall(modules[module]):
            taken[home_of(needed)] |= set(names.split(", "))
    taken.pop(name, None)
    imports = [f'import {{ {", ".join(sorted(names))} }} from "./{home}.js";' for home, names in sorted(taken.items())]
    bodies = {module: IMPORT.sub("", modules[module]) for module in ordered}
    alone = len(ordered) == 1
    shared = "\n".join(body for module, body in bodies.items() if alone or module not in pages)
    known = Counter([*_TOP_LEVEL.findall(shared), *set().union(*taken.values())])
    twice = [known_name for known_name, times in known.items() if times > 1]
    if twice:
        raise ValueError(f"{name}.js: two of {', '.join(ordered)} have {', '.join(twice)}. Rename one.")
    blocks = [_on_page(module, bodies[module]) for module in ordered if not alone and module in pages]
    text = "\n".join(filter(None, [*imports, shared, *blocks]))
    return LATE_IMPORT.sub(lambda found: f'import("./{home_of(found[1])}.js")', text)


def _on_page(page: str, body: str) -> str:
    return f'if (document.body.dataset.page === "{page}") {{\n{body}}}\n'


def _marked(name: str, text: str, mark: str) -> str:
    if name == f"{_BASE}.js":
        return f"export const {mark} = 1;\n{text}"
    return IMPORT.sub(lambda found: found[0].replace("{ ", f"{{ {mark}, ", 1) if found[2] == _BASE else found[0], text)
