"""Messages for faults in a rate card: the file, the table as written there, and the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gateway.pricing.card import Tables
from gateway.pricing.lines import Lines, Location
from gateway.pricing.values import did_you_mean

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NAMED_TABLES = frozenset({"plans", "bundles", "providers", "tools", "models"})
_MODEL_TABLES = frozenset(
    {"settings", "provider_settings", "rates", "add_ons", "cost", "cost_add_ons", "prices", "forbidden"}
)
_AT_DEPTH = 4  # of [models.<id>.at.<provider>]
_KEY = "[key]"  # pydantic's mark for "the key itself is wrong"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in the card and its location: `("models", "nano-banana-2", "rates", 1, "credits")`."""

    location: Location
    text: str
    unknown: str | None = None
    """The unknown field in the table at `location`, if that is the fault; the line reported is the field's."""


def message(file: str, fault: Fault, lines: Lines | None = None) -> str:
    """One line: `pricing.toml:41: [models.nano-banana-2.rates] #2: credits must be …`.

    It quotes the file, so control characters and line breaks are escaped as in TOML.
    """
    table, rest = _table_of(fault.location)
    field = _path_of(rest)
    at = fault.location if fault.unknown is None else (*fault.location, fault.unknown)
    number = None if lines is None else lines.of(at)
    place = file if number is None else f"{file}:{number}"
    line = ": ".join(part for part in (place, table, f"{field} {fault.text}".strip()) if part)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in line)


def _table_of(location: Location) -> tuple[str, Location]:
    """The table's heading as written in the file, and the rest of the location inside it."""
    depth = 1 if location and isinstance(location[0], str) else 0
    if location and location[0] in _NAMED_TABLES and len(location) > 1:
        depth = 2
        if location[0] == "models" and len(location) > depth and location[2] in _MODEL_TABLES:
            depth = 3
        if location[0] == "models" and location[2:3] == ("at",) and len(location) > _AT_DEPTH:
            depth = _AT_DEPTH
    if depth == 0:
        return "", location
    table = heading(*location[:depth])
    rest = location[depth:]
    if rest and isinstance(rest[0], int):
        return f"{table} #{rest[0] + 1}", rest[1:]
    return table, rest


def heading(*location: str | int) -> str:
    """A table's heading in TOML: `[models."wan-2.2".rates]`."""
    return "[" + ".".join(_key(part) for part in location) + "]"


def _key(part: str | int) -> str:
    """A key in TOML: `wan-2.2` needs quotes, or its dot would start a subtable."""
    text = str(part)
    return text if _BARE_KEY.fullmatch(text) else f'"{text}"'


def _path_of(location: Location) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + _key(part)
    return f"`{path}`" if path else ""


def faults_of(error: ValidationError) -> list[Fault]:
    """Pydantic's errors as faults, in the file's order."""
    faults: list[Fault] = []
    for problem in error.errors():
        fault = _fault(problem["loc"], problem["type"], problem)
        if fault not in faults:
            faults.append(fault)
    return faults


def _fault(location: Location, kind: str, problem: Any) -> Fault:
    if location and location[-1] == _KEY:
        return Fault(location[:-1], _bad_key(location))
    if kind == "extra_forbidden":
        return Fault(location[:-1], _unknown_field(location, problem["input"]), str(location[-1]))
    if kind == "missing":
        return Fault(location[:-1], f"needs {_path_of(location[-1:])}{_example(location)}")
    if kind == "value_error":
        return Fault(location, str(problem["ctx"]["error"]))
    if kind == "tuple_type" and location[-1] == "values":
        return Fault(location, 'must be a list such as ["1K", "2K"]')
    return Fault(location, _mismatch(kind, problem))


def _bad_key(location: Location) -> str:
    key = str(location[-2])
    if location[0] == "models" and "settings" in location[2:3]:
        return (
            f'is not a valid setting name: "{key[:80]}" must be lowercase letters, digits and _, starting with a letter'
        )
    return (
        f'is not a valid id: "{key[:80]}" must be 1 to 64 lowercase letters, digits, dots, dashes and '
        "underscores, starting with a letter or digit"
    )


def _unknown_field(location: Location, given: object) -> str:
    """Name the unknown field and the known ones, and suggest quotes for an unquoted dot, the most common mistake."""
    name = str(location[-1])
    known = sorted(_fields_at(location[:-1]))
    hint = did_you_mean(name, known)
    match location:
        case (table, first, _) if table in _NAMED_TABLES and isinstance(given, Mapping) and not hint:
            quoted = f'[{table}."{first}.{name}"]'
            return f"has an unknown table `{name}`: quote an id that contains a dot, as in {quoted}"
    return f"has an unknown name {_path_of((name,))}{hint or '.'} Known here: {', '.join(known)}"


def _example(location: Location) -> str:
    examples = {
        "name": ', for example name = "Standard"',
        "tools": ", with a table such as [tools.image] for each studio",
        "models": ", with a table such as [models.my-model] for each model",
        "baseline_model": ", the id of the model used for estimates",
        "rates": ", at least one [[models.….rates]] with a price",
        "price": f", for example price = {'{ monthly = 30.00 }' if location[0] == 'plans' else '5.00'}",
        "tool": ', for example tool = "image"',
        "unit": ', for example unit = "seconds"',
        "at_most": ", the most that is charged for, and held: for example at_most = 30",
        "provider": ', for example provider = "sandbox"',
    }
    return examples.get(str(location[-1]), "")


def _mismatch(kind: str, problem: Any) -> str:
    limits = problem.get("ctx", {})
    one_of_these = f"must be {limits.get('expected', '').replace(chr(39), chr(34))}"
    wanted = {
        "int_type": "must be a whole number, without quotes",
        "string_type": "must be text in quotes",
        "bool_type": "must be true or false, without quotes",
        "model_type": "must be a table",
        "model_attributes_type": "must be a table",
        "mapping_type": "must be a table",
        "dict_type": "must be a table",
        "tuple_type": "must be a list of tables, each under its own [[…]]",
        "literal_error": one_of_these,
        "enum": one_of_these,
        "greater_than_equal": f"must be at least {limits.get('ge')}",
        "less_than_equal": f"must be at most {limits.get('le')}",
        "string_too_short": "must not be empty",
        "string_too_long": f"must have at most {limits.get('max_length')} characters",
        "too_short": "must have at least one entry",
        "string_pattern_mismatch": (
            "must be an id: 1 to 64 lowercase letters, digits, dots, dashes and underscores, starting with a letter "
            "or digit"
        ),
    }
    said = str(problem["msg"])
    return wanted.get(kind, said[:1].lower() + said[1:])


def _fields_at(location: Location) -> Iterable[str]:
    """The fields a table may have, found by following a location through the schema."""
    schema: Any = Tables
    for part in location:
        schema = _model_in(schema)
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in schema.model_fields.items()}
            schema = fields.get(str(part))
        else:  # a mapping or a list: all of its values have one type
            schema = get_args(schema)[-1] if get_origin(schema) is not tuple else get_args(schema)[0]
    schema = _model_in(schema)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return [field.alias or name for name, field in schema.model_fields.items()]
    return ()


def _model_in(schema: Any) -> Any:
    """Strip `Annotated[…]` and `… | None` from a type expression."""
    while get_origin(schema) in {Annotated, Union, UnionType}:
        schema = get_args(schema)[0]
    return schema
