"""Loads a rate card from a file: read, validate, cross-check, prove. All faults are reported together."""

from __future__ import annotations

import hashlib
import os
import tomllib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from gateway.errors import RateCardError
from gateway.pricing.card import RateCard, Tables
from gateway.pricing.check import Proof, prove
from gateway.pricing.consistency import faults_between
from gateway.pricing.lines import Lines
from gateway.pricing.messages import Fault, faults_of, message

FILE_NAME = "pricing.toml"

_NS_PER_MS = 1_000_000


def load_card(path: Path) -> RateCard:
    """Load and check the rate card at `path`; RateCardError has a message for every fault."""
    return load_proved_card(path)[0]


def load_proved_card(path: Path) -> tuple[RateCard, Proof]:
    """The rate card at `path`, with its proof for printing."""
    try:
        with path.open("rb") as file:
            file_time_ms = os.fstat(file.fileno()).st_mtime_ns // _NS_PER_MS
            contents = file.read()
    except FileNotFoundError:
        hint = "put a rate card there, or set FAREBOX_RATE_CARD to another file"
        raise RateCardError([f"{path}: no such file; {hint}"]) from None
    except OSError as error:
        raise RateCardError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    return read_proved_card(contents, path=str(path), file_time_ms=file_time_ms)


def read_card(contents: bytes, *, path: str = FILE_NAME, file_time_ms: int = 0) -> RateCard:
    """Parse a rate card from a file's bytes; messages name the file by `path`."""
    return read_proved_card(contents, path=path, file_time_ms=file_time_ms)[0]


def read_proved_card(contents: bytes, *, path: str, file_time_ms: int) -> tuple[RateCard, Proof]:
    """Parse a rate card, and return it with its proof."""
    try:
        text = contents.decode()
        tables = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise RateCardError(
            [message(path, Fault((), f"is not UTF-8 text (byte {error.start}); save it as UTF-8"))]
        ) from None
    except (ValueError, RecursionError) as error:
        raise RateCardError([message(path, Fault((), f"is not valid TOML: {error}"))]) from None
    version = f"sha256:{hashlib.sha256(contents).hexdigest()}"
    found = _validated(tables, {"path": path, "version": version, "file_time_ms": file_time_ms})
    if isinstance(found, tuple):
        return found
    lines = Lines(text)
    raise RateCardError([message(path, fault, lines) for fault in found])


def _validated(tables: dict[str, object], ours: dict[str, object]) -> tuple[RateCard, Proof] | list[Fault]:
    """The card with its proof, or all of its faults."""
    internal = RateCard.model_fields.keys() - Tables.model_fields.keys()
    faults = [Fault((), f"has an unknown name `{name}`") for name in tables.keys() & internal]
    if not faults:
        try:
            card = RateCard.model_validate({**tables, **ours})
        except ValidationError as error:
            faults = faults_of(error)
        else:
            faults = list(faults_between(card))
            if not faults:
                proof, faults = prove(card)
            if not faults:
                return card, proof
    return faults


def default_card_path(rate_card: Path | None = None) -> Path:
    """The rate card's path: as configured, else `pricing.toml` in the working directory, else the packaged example.

    A wheel contains the example as `gateway/pricing.toml`; a clone has it beside `gateway/`.
    """
    if rate_card is not None:
        return rate_card
    here = Path(FILE_NAME)
    return here if here.is_file() else packaged_card_path()


def packaged_card_path() -> Path:
    """The example card packaged with Farebox."""
    package = Path(str(files("gateway")))
    packaged = package / FILE_NAME
    return packaged if packaged.is_file() else package.parent / FILE_NAME


def is_the_example(path: Path) -> bool:
    """Whether the card at `path` is the packaged example, because no other is configured."""
    return path.resolve() == packaged_card_path().resolve() and path != Path(FILE_NAME)
