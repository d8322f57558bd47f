"""The console's modules joined into fewer files: the same functions under the same names."""

from __future__ import annotations

import pytest

from gateway.api.bundles import bundled

WORDS = 'import { element } from "./dom.js";\n\nexport function say(text) {\n  return element(text);\n}\n'
PAGE = 'import { say } from "./words.js";\nimport { Card } from "./generations.js";\n\nimport("./dom.js");\n'


def test_modules_are_joined_after_those_they_import_and_others_follow_them_there() -> None:
    dom = "export const element = 1;\n"
    sent = bundled({"words.js": WORDS, "dom.js": dom, "page.js": PAGE, "generations.js": "export class Card {}\n"})
    assert set(sent) == {"base.js", "cards.js", "page.js"}
    assert sent["base.js"].index("const element") < sent["base.js"].index("function say")
    assert "import" not in sent["base.js"]
    assert sent["page.js"].split("\n")[:2] == ['import { say } from "./base.js";', 'import { Card } from "./cards.js";']
    assert 'import("./base.js")' in sent["page.js"]


def test_two_private_names_alike_in_one_bundle_are_refused() -> None:
    with pytest.raises(ValueError, match=r"base\.js: two of dom, words have LIMIT"):
        bundled({"words.js": "const LIMIT = 1;\n", "dom.js": "const LIMIT = 2;\n"})
