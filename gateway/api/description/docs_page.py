"""The contents of the page at `/docs`, for the console's frame, generated from the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from gateway.api.description.samples import samples
from gateway.api.errors import error_classes

Document = dict[str, Any]

_PAGE = """\
<title>API</title>
<div class="docs" id="api" data-server="{server}">
<div class="calls stack tight">
<div class="field"><label for="search">Search</label>
<input id="search" type="search" placeholder="Path, name or field" autocomplete="off" aria-controls="reference"></div>
<p class="hint" id="count" role="status"></p>
<nav aria-label="Calls">
{navigation}
</nav>
</div>
<div id="reference">
<div class="stack tight">
<p>{description}</p>
<p>Version {version} · <a href="/openapi.json">openapi.json</a></p>
</div>
{calls}
<section id="errors">
<h2>Errors</h2>
<p>Every error is <code>{{"error": {{"code", "message", "request_id", "fields"?}}}}</code>.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Error codes">
<table>
<thead><tr><th scope="col">Status</th><th scope="col">Code</th><th scope="col">Means</th></tr></thead>
<tbody>
{errors}
</tbody>
</table>
</div>
</section>
<section id="shapes">
<h2>Shapes</h2>
{shapes}
</section>
</div>
</div>
"""


def contents(document: Document) -> str:
    """The page's title, and what is in its frame."""
    server = document["servers"][0]["url"]
    by_tag: dict[str, list[tuple[str, str, Document]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append((method.upper(), path, operation))
    return _PAGE.format(
        navigation="\n".join(_navigation(by_tag)),
        description=_text(document["info"]["description"]),
        server=escape(server),
        version=escape(document["info"]["version"]),
        calls="\n".join(_section(server, tag, calls) for tag, calls in by_tag.items()),
        errors="\n".join(_errors()),
        shapes="\n".join(_shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
    )


def _navigation(by_tag: dict[str, list[tuple[str, str, Document]]]) -> Iterator[str]:
    for tag, calls in by_tag.items():
        yield f"<h2>{escape(tag)}</h2>\n<ul>"
        for method, path, operation in calls:
            target = escape(operation["operationId"])
            yield f'<li><a href="#{target}"><b>{method}</b> {escape(path).replace("/", "<wbr>/")}</a></li>'
        yield "</ul>"
    yield '<h2>more</h2>\n<ul><li><a href="#errors">Errors</a></li><li><a href="#shapes">Shapes</a></li></ul>'


def _section(server: str, tag: str, calls: list[tuple[str, str, Document]]) -> str:
    return f"<section><h2>{escape(tag)}</h2>\n" + "\n".join(_call(server, *call) for call in calls) + "\n</section>"


def _call(server: str, method: str, path: str, operation: Document) -> str:
    scopes = operation["x-farebox-scopes"]
    key = f"Key: {' or '.join(scopes)}" if scopes else "No key required"
    parts = [
        f'<article class="panel" id="{escape(operation["operationId"])}">',
        f'<h3><span class="badge accent">{method}</span> <code>{escape(path)}</code></h3>',
        f"<p>{_text(operation['summary'])}.</p>",
        f'<p class="key">{escape(key)}</p>',
        *_parameters(operation["parameters"]),
        *_body(operation),
        *_samples(samples(server, method, path, operation)),
        *_responses(operation["responses"]),
        "</article>",
    ]
    return "\n".join(parts)


def _parameters(parameters: list[Document]) -> Iterator[str]:
    if not parameters:
        return
    yield "<dl>"
    for parameter in parameters:
        need = "" if parameter["required"] else ", optional"
        yield f"<dt><code>{escape(parameter['name'])}</code> <small>{parameter['in']}{need}</small></dt>"
        yield f"<dd><small>{_type(parameter['schema'])}</small> {_text(_description(parameter))}</dd>"
    yield "</dl>"


def _body(operation: Document) -> Iterator[str]:
    if "requestBody" not in operation:
        return
    (media, content), *others = operation["requestBody"]["content"].items()
    if others:
        files = ", ".join(f"<code>{escape(each)}</code>" for each in operation["requestBody"]["content"])
        yield f"<p>Body: a file, {files}</p>"
        return
    yield f"<p>Body: {_type(content['schema'])}{'' if media == 'application/json' else f' as {media}'}</p>"
    if "description" in operation["requestBody"]:
        yield f"<p>{_text(operation['requestBody']['description'])}</p>"
    if "example" in content:
        yield f'<pre tabindex="0">{_json(content["example"])}</pre>'


def _samples(by_language: dict[str, str]) -> Iterator[str]:
    yield '<details class="samples"><summary>Samples</summary>'
    for language, sample in by_language.items():
        yield f'<h4>{language}</h4><pre tabindex="0">{escape(sample, quote=False)}</pre>'
    yield "</details>"


def _responses(responses: Document) -> Iterator[str]:
    yield "<details><summary>Answers</summary><dl>"
    for status, response in responses.items():
        yield f"<dt><code>{status}</code></dt>"
        shapes = {_type(content["schema"]) for content in response.get("content", {}).values() if content.get("schema")}
        said = "<br>".join(_text(part) for part in response["description"].split("\n\n"))
        yield f"<dd>{said} {' '.join(sorted(shapes))}</dd>"
    yield "</dl></details>"


def _errors() -> Iterator[str]:
    for error in error_classes():
        meaning = _text(" ".join((error.__doc__ or "").split()))
        yield f"<tr><td>{error.status}</td><td><code>{error.code}</code></td><td>{meaning}</td></tr>"


def _shape(name: str, schema: Document) -> str:
    required = set(schema.get("required", ()))
    rows = [f'<article class="panel" id="shape-{escape(name)}"><h3>{escape(name)}</h3>']
    if schema.get("description"):
        rows.append(f"<p>{_text(' '.join(schema['description'].split()))}</p>")
    if "properties" in schema:
        rows.append("<dl>")
        for member, of in schema["properties"].items():
            need = "" if member in required else " <small>optional</small>"
            rows.append(f"<dt><code>{escape(member)}</code>{need}</dt>")
            rows.append(f"<dd><small>{_type(of)}</small> {_text(_description(of))}</dd>")
        rows.append("</dl>")
    elif "enum" in schema:
        rows.append(f"<p>{_type(schema)}</p>")
    rows.append("</article>")
    return "\n".join(rows)


def _type(schema: Document) -> str:  # noqa: PLR0911 - a table in the form of a match
    """A schema in a few words, linked to its shape."""
    match schema:
        case {"$ref": reference}:
            name = escape(reference.rpartition("/")[2])
            return f'<a href="#shape-{name}">{name}</a>'
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(_type(option) for option in options)
        case {"allOf": [one]}:
            return _type(one)
        case {"const": value}:
            return f"<code>{_json(value)}</code>"
        case {"enum": values}:
            return ", ".join(f"<code>{_json(value)}</code>" for value in values)
        case {"type": "object", "title": event, "properties": {"data": {"contentSchema": data}}}:
            return f"<code>{escape(event)}</code>: {_type(data)}"
        case {"type": "array"}:
            return f"list of {_type(schema.get('items', {}))}"
        case {"type": "object", "additionalProperties": dict() as values}:
            return f"map to {_type(values)}"
        case {"type": list() as types}:
            return " or ".join(escape(one) for one in types)
        case {"type": one}:
            return escape(f"{one} ({schema['format']})" if "format" in schema else one)
        case _:
            return "anything"


def _description(described: Document) -> str:
    """The description of a parameter or member; for an optional one, it is beside the type in `anyOf`."""
    of = described.get("schema", described)
    options = of.get("anyOf", ())
    said = [one["description"] for one in (described, of, *options) if "description" in one]
    return said[0] if said else ""


def _json(value: Any) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False), quote=False)


def _text(text: str) -> str:
    """Plain text to HTML, with `code` marked up."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
