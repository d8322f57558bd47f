"""The console's modules joined into fewer files: the same functions, under names that fit together."""

from __future__ import annotations

import re

import pytest

from gateway.api.bundles import bundled, joined

DOM = "export const element = 1;\nexport const unused = 2;\n"
WORDS = 'import { element } from "./dom.js";\n\nexport function say(text) {\n  return element(text);\n}\n'
PAGE = 'import { say } from "./words.js";\nimport { Card } from "./generations.js";\n\nsay("a");\n'
CARD = "export class Card {}\n"
SCRIPTS = {"words.js": WORDS, "dom.js": DOM, "docs.js": PAGE, "generations.js": CARD}


def test_modules_are_joined_after_those_they_import_and_others_follow_them_there() -> None:
    sent = joined(SCRIPTS | {"late.js": 'import("./dom.js");\n'})
    assert set(sent) == {"base.js", "cards.js", "docs.js", "late.js"}
    assert sent["base.js"].index("const element") < sent["base.js"].index("function say")
    assert "import" not in sent["base.js"]
    assert sent["docs.js"].split("\n")[:2] == [
        'import { say } from "./base.js";',
        'import { Card } from "./cards.js";',
    ]
    assert sent["late.js"] == 'import("./base.js");\n'


def test_a_module_exports_what_other_files_import() -> None:
    assert re.findall(r"export .*", joined(SCRIPTS)["base.js"]) == ["export function say(text) {"]
    late = joined(SCRIPTS | {"late.js": 'import("./dom.js");\n'})["base.js"]
    assert re.findall(r"export \w+ \w+", late) == ["export const element", "export const unused", "export function say"]


def test_two_private_names_alike_in_one_bundle_are_refused() -> None:
    with pytest.raises(ValueError, match=r"base\.js: two of dom, words have LIMIT"):
        bundled({"words.js": "const LIMIT = 1;\n", "dom.js": "const LIMIT = 2;\n"})
    imports = 'import { Card } from "./generations.js";\n'
    with pytest.raises(ValueError, match=r"base\.js: two of words, dom have Card"):
        bundled({"words.js": "const Card = 1;\n", "dom.js": imports, "generations.js": CARD})


def test_pages_scripts_in_one_file_run_each_on_its_page_only() -> None:
    sent = joined({"keys.js": "const LIMIT = 1;\n", "members.js": "const LIMIT = 2;\n"}, pages={"keys", "members"})
    assert [*sent] == ["owners.js"]
    assert 'if (document.body.dataset.page === "keys") {\nconst LIMIT = 1;\n}' in sent["owners.js"]
    assert 'if (document.body.dataset.page === "members") {\nconst LIMIT = 2;\n}' in sent["owners.js"]
    assert joined({"docs.js": "const LIMIT = 1;\n"}, pages={"docs"}) == {"docs.js": "const LIMIT = 1;\n"}


def test_an_exported_name_is_the_same_short_one_in_every_file_that_has_it() -> None:
    """It is nobody else's; a property of that name keeps it."""
    other = 'import { say } from "./words.js";\n\nconst aa = 1;\nsay(aa);\n'
    sent = bundled(SCRIPTS | {"sign-in.js": other})
    (new,) = re.findall(r"export function (\w+)", sent["base.js"])
    assert len(new) == 2
    assert new != "aa"
    for page in ("docs.js", "sign-in.js"):
        assert f', {new} }} from "./base.js"' in sent[page]
        assert f"\n{new}(" in sent[page]
    assert f"a.say = {new};" in bundled(SCRIPTS | {"sign-in.js": other + "a.say = say;\n"})["sign-in.js"]
    assert "function say" in bundled(SCRIPTS | {"sign-in.js": other + "class A { one = say; }\n"})["base.js"]
    assert "function say" in bundled(SCRIPTS | {"sign-in.js": 'import("./words.js");\n'})["base.js"]
    own = bundled(SCRIPTS | {"sign-in.js": "const say = 1;\n"})
    assert "const say = 1" in own["sign-in.js"], "this one imports nothing"


def test_files_of_two_versions_do_not_run_together() -> None:
    """Their short names may mean different functions: what imports from the other one asks for a name it has not."""
    before, after = (
        bundled(SCRIPTS),
        bundled(SCRIPTS | {"words.js": WORDS.replace("say", "tell"), "docs.js": PAGE.replace("say", "tell")}),
    )
    marks = [re.search(r"^export const (v\w+) = 1;", sent["base.js"]) for sent in (before, after)]
    assert marks[0]
    assert marks[1]
    assert marks[0][1] != marks[1][1]
    assert f"import {{ {marks[0][1]}, " in before["docs.js"]
    assert f"import {{ {marks[1][1]}, " in after["docs.js"]
