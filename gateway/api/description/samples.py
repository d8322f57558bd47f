"""Samples of each call in curl, Python and JavaScript, generated from its description; `/docs` shows them.

They are complete programs: pasted as they are, with `FAREBOX_KEY` set, they make the call. Python uses `requests`,
JavaScript `fetch` on Node.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

from gateway.api.http.headers import IDEMPOTENCY_HEADER
from gateway.api.http.parse import FORM_TYPE

Document = dict[str, Any]

KEY = "FAREBOX_KEY"
SSE = "text/event-stream"
HTML = "text/html"
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class CodeSample:
    """One call, with the examples of its description."""

    method: str
    url: str
    with_key: bool
    makes: bool
    body: Any
    sent_as: str | None
    answers: str

    @classmethod
    def of(cls, server: str, method: str, path: str, operation: Document) -> Self:
        """The call of an operation."""
        given = {one["name"]: one.get("example") for one in operation["parameters"] if one["in"] == "path"}
        query = {
            one["name"]: one["example"] for one in operation["parameters"] if one["in"] == "query" and "example" in one
        }
        url = server + path.format(**{name: quote(str(example), safe="") for name, example in given.items()})
        content = operation.get("requestBody", {}).get("content", {})
        sent_as = next(iter(content), None)
        good = next(of for status, of in operation["responses"].items() if status[0] in "23")
        return cls(
            method=method,
            url=f"{url}?{urlencode(query)}" if query else url,
            with_key=bool(operation["x-farebox-scopes"]),
            makes=method == "POST" and bool({"201", "202"} & operation["responses"].keys()),
            body=content[sent_as].get("example") if sent_as else None,
            sent_as=sent_as,
            answers=next(iter(good.get("content", {})), HTML),
        )

    @property
    def file(self) -> str | None:
        """The name of the file to send, if any."""
        if self.sent_as is None or self.body is not None:
            return None
        return "picture.png"


def samples(server: str, method: str, path: str, operation: Document) -> dict[str, str]:
    """The samples of a call, by language."""
    sample = CodeSample.of(server, method, path, operation)
    return {"curl": _curl(sample), "Python": _python(sample), "JavaScript": _javascript(sample)}


def _curl(sample: CodeSample) -> str:
    parts = ["curl" + (" -N" if sample.answers == SSE else ""), shlex.quote(sample.url)]
    if sample.method != "GET":
        parts[0] += f" -X {sample.method}" if sample.sent_as is None or sample.method != "POST" else ""
    if sample.with_key:
        parts.append(f'-H "Authorization: Bearer ${KEY}"')
    if sample.makes and sample.with_key:
        parts.append(f'-H "{IDEMPOTENCY_HEADER}: $(date +%s%N)"')
    if sample.sent_as == FORM_TYPE:
        parts += [f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in sample.body.items()]
    elif sample.sent_as is not None:
        parts.append(f'-H "Content-Type: {sample.sent_as}"')
        text = json.dumps(sample.body, ensure_ascii=False)
        parts.append(f"--data-binary @{sample.file}" if sample.file else f"-d {shlex.quote(text)}")
    if sample.answers == "*/*":
        parts.append("-o output")
    return " \\\n  ".join([f"{parts[0]} {parts[1]}", *parts[2:]])


def _python(sample: CodeSample) -> str:
    headers = {}
    if sample.with_key:
        headers["Authorization"] = f"f\"Bearer {{os.environ['{KEY}']}}\""
    if sample.makes and sample.with_key:
        headers[IDEMPOTENCY_HEADER] = "str(uuid.uuid4())"
    arguments = [json.dumps(sample.url)]
    if sample.file:
        headers["Content-Type"] = json.dumps(sample.sent_as)
        arguments.append(f'data=open("{sample.file}", "rb")')
    elif sample.sent_as == FORM_TYPE:
        arguments.append(f"data={_literal(sample.body, 1)}")
    elif sample.sent_as is not None:
        arguments.append(f"json={_literal(sample.body, 1)}")
    if headers:
        arguments.append("headers={" + ", ".join(f'"{name}": {value}' for name, value in headers.items()) + "}")
    arguments += ["stream=True"] if sample.answers == SSE else [f"timeout={_TIMEOUT_SECONDS}"]
    modules = [*(["os"] if sample.with_key else []), *(["uuid"] if IDEMPOTENCY_HEADER in headers else [])]
    lines = [*(f"import {module}" for module in modules), *([""] if modules else []), "import requests", ""]
    lines += [f"answer = requests.{sample.method.lower()}(", *(f"    {argument}," for argument in arguments), ")"]
    match sample.answers:
        case "application/json":
            lines.append("print(answer.status_code, answer.json())")
        case "*/*":
            lines.append('open("output", "wb").write(answer.content)')
        case "text/event-stream":
            lines += ["for line in answer.iter_lines():", "    print(line.decode())"]
        case _:
            lines.append("print(answer.status_code, answer.text)")
    return "\n".join(lines)


def _javascript(sample: CodeSample) -> str:
    headers = {}
    if sample.with_key:
        headers["Authorization"] = f"`Bearer ${{process.env.{KEY}}}`"
    if sample.makes and sample.with_key:
        headers[f'"{IDEMPOTENCY_HEADER}"'] = "crypto.randomUUID()"
    if sample.sent_as is not None and sample.sent_as != FORM_TYPE:
        headers['"Content-Type"'] = json.dumps(sample.sent_as)
    options = [] if sample.method == "GET" else [f"method: {json.dumps(sample.method)}"]
    if headers:
        options.append("headers: { " + ", ".join(f"{name}: {value}" for name, value in headers.items()) + " }")
    text = json.dumps(sample.body, indent=2, ensure_ascii=False).replace("\n", "\n  ")
    if sample.file:
        options.append(f'body: await readFile("{sample.file}")')
    elif sample.sent_as is not None:
        options.append(f"body: {'new URLSearchParams' if sample.sent_as == FORM_TYPE else 'JSON.stringify'}({text})")
    work = "readFile" if sample.file else "writeFile" if sample.answers == "*/*" else None
    lines = [f'const {{ {work} }} = await import("node:fs/promises");', ""] if work else []
    if options:
        lines += [f"const answer = await fetch({json.dumps(sample.url)}, {{", *(f"  {one}," for one in options), "});"]
    else:
        lines.append(f"const answer = await fetch({json.dumps(sample.url)});")
    match sample.answers:
        case "application/json":
            lines.append("console.log(answer.status, await answer.json());")
        case "*/*":
            lines.append('await writeFile("output", answer.body);')
        case "text/event-stream":
            lines.append(
                "for await (const text of answer.body.pipeThrough(new TextDecoderStream())) console.log(text);"
            )
        case _:
            lines.append("console.log(answer.status, await answer.text());")
    return "\n".join(lines)


def _literal(value: Any, depth: int) -> str:
    """A JSON value as a Python literal, one member per line."""
    inside, end = "    " * (depth + 1), "    " * depth
    match value:
        case Mapping() if value:
            members = (f"{inside}{json.dumps(name)}: {_literal(of, depth + 1)},\n" for name, of in value.items())
            return "{\n" + "".join(members) + end + "}"
        case list():
            return "[" + ", ".join(_literal(one, depth) for one in value) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)
