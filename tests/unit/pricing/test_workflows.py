"""`farebox pricing check` reads the workflows that a rate card names for ComfyUI, and says what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.errors import RateCardError
from gateway.pricing.load import load_card
from gateway.providers.workflows import filled, placeholders

CARD = """
[tools.image]
name = "Image"
baseline_model = "flux"
[providers.comfy]
kind = "comfyui"
base_url = "http://127.0.0.1:8188"
[models.flux]
name = "FLUX"
tool = "image"
provider = "comfy"
provider_model = "workflows/flux.json"
outputs_max = 2
inputs = { image = 1 }
[models.flux.settings]
resolution = { values = ["1K", "2K"] }
steps = { min = 1, max = 50 }
[models.flux.provider_settings]
resolution = { "1K" = { width = 1024 }, "2K" = { width = 2048, tiles = 2 } }
[[models.flux.rates]]
credits = 5
"""
INPUTS = {"text": "{{prompt}}", "width": "{{width}}", "n": "{{outputs}}", "s": "{{ steps }}"}
NODES = {
    "1": {"class_type": "A", "inputs": INPUTS},
    "2": {"class_type": "LoadImage", "inputs": {"image": "{{input_image_1}}", "seed": "{{seed}}"}},
}


def check(folder: Path, workflow: str | None, card: str = CARD) -> str:
    """Check the card with this workflow beside it; what is wrong."""
    (folder / "workflows").mkdir()
    if workflow is not None:
        (folder / "workflows" / "flux.json").write_text(workflow)
    path = folder / "pricing.toml"
    path.write_text(card)
    try:
        load_card(path)
    except RateCardError as error:
        return str(error)
    return ""


def test_a_workflow_that_fits_is_taken(tmp_path: Path) -> None:
    assert check(tmp_path, json.dumps(NODES)) == ""


def test_a_workflow_of_a_model_without_a_prompt_has_none(tmp_path: Path) -> None:
    card, without = CARD.replace("outputs_max", 'prompt = "none"\noutputs_max'), json.dumps(NODES)
    said = check(tmp_path, without, card)
    assert "which has {{prompt}}, but nothing provides it" in said
    (tmp_path / "workflows" / "flux.json").write_text(without.replace("{{prompt}}", "sharp"))
    load_card(tmp_path / "pricing.toml")


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        (None, "names the workflow workflows/flux.json, which does not exist"),
        ("{", "which is not JSON: Expecting property name enclosed in double quotes in line 1"),
        ("[]", "which is not in ComfyUI's API format"),
        ('{"nodes": [], "links": []}', "which is in the editor's format: export it with"),
        ('{"1": {"class_type": "A"}}', "which is not in ComfyUI's API format"),
        (json.dumps(NODES).replace("{{prompt}}", "a fox"), 'which has no "{{prompt}}"'),
        (json.dumps(NODES).replace("{{seed}}", "{{sed}}"), "which has {{sed}}, but nothing provides it; did you mean"),
        (json.dumps(NODES).replace("{{seed}}", "{{tiles}}"), "which has {{tiles}}, but nothing provides it"),
        (json.dumps(NODES).replace("{{seed}}", "{{input_image_2}}"), "which has {{input_image_2}}"),
        (json.dumps(NODES).replace("{{width}}", "1024"), "which has no {{width}}: the setting would have no effect"),
        (json.dumps(NODES).replace("{{ steps }}", "20"), "which has no {{steps}}"),
        (json.dumps(NODES).replace("{{outputs}}", "1"), "which has no {{outputs}}"),
        (json.dumps(NODES).replace("{{input_image_1}}", "cat.png"), "which has no {{input_image_1}}"),
    ],
)
def test_what_does_not_fit_is_named_with_file_and_table(tmp_path: Path, workflow: str | None, said: str) -> None:
    message = check(tmp_path, workflow)
    assert said in message
    assert f"{tmp_path / 'pricing.toml'}" in message
    assert "[models.flux]" in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../secrets.json", "must be a .json file in the rate card's folder"),
        ("/etc/passwd", "must be a .json file in the rate card's folder"),
        ("flux.toml", "must be a .json file in the rate card's folder"),
    ],
)
def test_a_workflow_is_a_json_file_beside_the_card(tmp_path: Path, name: str, said: str) -> None:
    assert said in check(tmp_path, None, CARD.replace("workflows/flux.json", name))


def test_a_model_without_a_workflow_is_refused(tmp_path: Path) -> None:
    card = CARD.replace('provider_model = "workflows/flux.json"\n', "")
    assert "needs a `provider_model`: its workflow file" in check(tmp_path, None, card)


def test_placeholders_become_values_of_their_type_or_text_within_text() -> None:
    template = {"a": "{{ n }}", "b": ["x {{n}} {{yes}}", 3], "{{n}}": None, "c": "{n} {{"}
    assert placeholders(template) == {"n", "yes"}
    assert filled(template, {"n": 2, "yes": True}) == {"a": 2, "b": ["x 2 true", 3], "{{n}}": None, "c": "{n} {{"}
    with pytest.raises(KeyError):
        filled(template, {"n": 2})
