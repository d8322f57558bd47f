"""Inputs: `https:` URLs are passed on and never fetched here; the bytes of `data:` URLs go to the object store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.api.errors import InvalidRequest
from gateway.domain import Input
from gateway.errors import FieldProblem, RequestRefused
from gateway.outputs import InputFile, OutputStore, input_key, parse_data_url
from gateway.schemas.generations import InputIn


@dataclass(frozen=True, slots=True)
class GivenInput:
    """An input as it came: a URL, or with `file` the bytes of a `data:` URL."""

    kind: str
    url: str
    file: InputFile | None = None


def given_inputs(inputs: Sequence[InputIn]) -> tuple[GivenInput, ...]:
    """Take the `data:` URLs apart; InvalidRequest names every one that is not what it says."""
    given: list[GivenInput] = []
    problems: list[FieldProblem] = []
    for index, one in enumerate(inputs):
        if not one.url.startswith("data:"):
            given.append(GivenInput(one.kind, one.url))
            continue
        try:
            file = parse_data_url(one.url, kind=one.kind, path=f"inputs.{index}.url")
        except RequestRefused as refused:
            problems.extend(refused.problems)
        else:
            given.append(GivenInput(one.kind, "", file))
    if problems:
        raise InvalidRequest(f"`{problems[0].path}` {problems[0].message}.", fields=problems)
    return tuple(given)


async def stored(store: OutputStore, generation: str, inputs: Sequence[GivenInput]) -> tuple[Input, ...]:
    """The inputs as the ledger keeps them: bytes are in the object store by then, below the generation's own name."""
    kept = []
    for number, one in enumerate(inputs):
        if one.file is None:
            kept.append(Input(one.kind, one.url))
            continue
        object_key = input_key(generation, number, one.file.content_type)
        await store.put(object_key, one.file.data)
        kept.append(Input(one.kind, object_key))
    return tuple(kept)
