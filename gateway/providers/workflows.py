"""ComfyUI workflows as templates: JSON files in ComfyUI's API format, with placeholders such as `"{{prompt}}"`.

A string that is only a placeholder becomes the value, with its type: `"seed": "{{seed}}"` becomes a number. Within a
longer string it becomes text. The rate card's check reads these files, and a worker does at each submit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import WorkflowUnusable

PROMPT = "prompt"
WITHOUT_PROMPT = 'has no "{{prompt}}", so every prompt would give the same result'
OUTPUTS = "outputs"
SEED = "seed"
INPUT_IMAGE, INPUT_VIDEO, INPUT_AUDIO = "input_image_", "input_video_", "input_audio_"  # followed by a number, from 1

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_BYTES_MAX = 4 * 1024 * 1024


def read_workflow(folder: Path, name: str) -> dict[str, Any]:
    """The workflow in the file `name` of the rate card's folder; WorkflowUnusable completes "the workflow <name> …"."""
    path = folder / name
    if path.suffix != ".json" or Path(name).is_absolute() or ".." in Path(name).parts:
        raise WorkflowUnusable("must be a .json file in the rate card's folder or below it")
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise WorkflowUnusable(f"is larger than {_BYTES_MAX:,} bytes")
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise WorkflowUnusable(f"does not exist: {path}") from None
    except OSError as error:
        raise WorkflowUnusable(f"cannot be read: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise WorkflowUnusable(f"is not JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError):
        raise WorkflowUnusable("is not JSON") from None
    return _checked(document)


def _checked(document: object) -> dict[str, Any]:
    if isinstance(document, dict) and isinstance(document.get("nodes"), list):
        raise WorkflowUnusable("is in the editor's format: export it with Export (API)")
    if not isinstance(document, dict) or not document or not all(map(_is_node, document.values())):
        raise WorkflowUnusable("is not in ComfyUI's API format (nodes by number, each with `class_type` and `inputs`)")
    return document


def _is_node(node: object) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def placeholders(workflow: object) -> set[str]:
    """The names between `{{` and `}}` in all of its strings."""
    return {name for text in _texts(workflow) for name in _PLACEHOLDER.findall(text)}


def filled(workflow: Any, values: Mapping[str, Any]) -> Any:
    """A copy with the values filled in; KeyError names a placeholder without one."""
    if isinstance(workflow, dict):
        return {name: filled(each, values) for name, each in workflow.items()}
    if isinstance(workflow, list):
        return [filled(each, values) for each in workflow]
    if not isinstance(workflow, str):
        return workflow
    whole = _PLACEHOLDER.fullmatch(workflow.strip())
    if whole is not None:
        return values[whole[1]]
    return _PLACEHOLDER.sub(lambda found: _text(values[found[1]]), workflow)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
