"""Joins small modules of the console into few files: fewer requests, and what is compressed together is smaller.

A module stays one for its readers. A bundle has its modules one after the other, each after those that it imports; no
two of them may have the same name at the top level. Imports are lines of the form that the console writes everywhere.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from graphlib import TopologicalSorter

BUNDLES = {
    "base": ("amounts", "api", "copying", "dialog", "dom", "live", "tables", "times", "words"),
    "cards": ("generations", "outputs", "quotes", "updates"),
    "choices": ("forbidden", "models", "settings"),
    "details": ("details", "receipts", "timeline"),
    "lists": ("account-journal", "forms"),
    "managing": ("fields", "pauses"),
    "money": ("checkout", "credits", "ways-out"),
    "webhooks": ("deliveries", "webhook-dialogs", "webhooks"),
}

_IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+)\.js";\n', re.MULTILINE)
_LATE_IMPORT = re.compile(r'import\("\./([\w-]+)\.js"\)')
_TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)


def bundled(scripts: Mapping[str, str]) -> dict[str, str]:
    """The files to send for these modules, by name: bundles, and modules that are in none."""
    modules = {name.removesuffix(".js"): text for name, text in scripts.items()}
    homes = {module: bundle for bundle, inside in BUNDLES.items() for module in inside if module in modules}
    files: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        files[homes.get(module, module)].append(module)
    return {f"{name}.js": _joined(name, inside, modules, homes) for name, inside in files.items()}


def _joined(name: str, inside: list[str], modules: Mapping[str, str], homes: Mapping[str, str]) -> str:
    """One file: what it imports from others, then its modules."""
    needs = {module: [needed for _, needed in _IMPORT.findall(modules[module])] for module in sorted(inside)}
    ordered = [module for module in TopologicalSorter(needs).static_order() if module in needs]
    taken: dict[str, set[str]] = defaultdict(set)
    for module in ordered:
        for names, needed in _IMPORT.findall(modules[module]):
            taken[homes.get(needed, needed)] |= set(names.split(", "))
    taken.pop(name, None)
    imports = [f'import {{ {", ".join(sorted(names))} }} from "./{home}.js";' for home, names in sorted(taken.items())]
    text = "\n".join([*imports, *(_IMPORT.sub("", modules[module]) for module in ordered)])
    twice = [known for known, times in Counter(_TOP_LEVEL.findall(text)).items() if times > 1]
    if twice:
        raise ValueError(f"{name}.js: two of {', '.join(ordered)} have {', '.join(twice)}. Rename one.")
    return _LATE_IMPORT.sub(lambda found: f'import("./{homes.get(found[1], found[1])}.js")', text)
