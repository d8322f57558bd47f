"""Tags: names and values by which a customer's generations are told apart in lists and usage (R28)."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from gateway.schemas.base import LINE_PATTERN, UNSAFE_IN_JSON_SCHEMA, Text

TAGS_MAX = 8
TAG_MAX_CHARACTERS = 64
# A name is written in queries: `tags[project]=apollo`, and `group_by=day,tag:project`.
NAME_CHARACTER = rf"[^,\[\]{UNSAFE_IN_JSON_SCHEMA}]"
NAME_PATTERN = f"^{NAME_CHARACTER}+$"
NAME_FAULT = (
    f"names must be 1 to {TAG_MAX_CHARACTERS} characters long, without commas, brackets, control characters, line "
    "breaks or text-direction characters"
)

_NAME = re.compile(f"{NAME_CHARACTER}+")
_VALUE = {"type": "string", "minLength": 1, "maxLength": TAG_MAX_CHARACTERS, "pattern": LINE_PATTERN}


def is_tag_name(name: str) -> bool:
    """Whether a tag may have this name."""
    return len(name) <= TAG_MAX_CHARACTERS and _NAME.fullmatch(name) is not None


def _names(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise ValueError(f"must be at most {TAGS_MAX} tags; these are {len(tags)}")
    if not all(map(is_tag_name, tags)):
        raise ValueError(NAME_FAULT)
    return tags


_Values = dict[str, Annotated[Text, Field(min_length=1, max_length=TAG_MAX_CHARACTERS)]]


def _described(description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "object",
            "description": description,
            "maxProperties": TAGS_MAX,
            "propertyNames": {"maxLength": TAG_MAX_CHARACTERS, "pattern": NAME_PATTERN},
            "additionalProperties": _VALUE,
            "examples": [{"project": "apollo"}],
        }
    )


TagsIn = TypeAliasType(
    "TagsIn",
    Annotated[
        _Values,
        AfterValidator(_names),
        _described(
            f"Up to {TAGS_MAX} names with a value each, of up to {TAG_MAX_CHARACTERS} characters: `GET /v1/usage` "
            "groups by them, and lists are filtered by them."
        ),
    ],
)
"""The tags of a request."""

TagsFilter = Annotated[
    _Values, AfterValidator(_names), _described("Filter by tags, as in `tags[project]=apollo`. All must match.")
]
"""The tags of a query: without a name of its own in the description, where each parameter has a schema."""

TagsOut = TypeAliasType("TagsOut", dict[str, str])
"""The tags of a generation."""
