"""Accounts in any number, as the product leaves them: it writes two, and the rest is the first under other names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from benchmarks.recorded import AppendOnlyFile, Command, RawConnection, packed, renamed, unpacked
from gateway.domain import (
    GenerationRequest,
    Interval,
    PriceLine,
    Scope,
    generation_id,
    operation_id,
    partition_of_account,
)
from gateway.ledger import keys
from gateway.ledger.accounts import key_id_of
from gateway.ledger.ledger import Ledger
from gateway.ledger.life import Reservation
from gateway.ledger.policy_of_card import terms_of
from gateway.pricing.load import default_card_path, load_card

_TIME = re.compile(rb"1[6-9]\d{11}")

CARD = load_card(default_card_path())
PROMPT = "A lighthouse on a cliff at dusk, heavy waves, warm light in the windows, painted in oil, wide angle"
REQUEST = GenerationRequest(
    tool="image",
    model="flux-dev",
    provider="sandbox",
    prompt=PROMPT,
    outputs=1,
    price_millicredits=5000,
    rate_card=CARD.version,
    settings={"aspect_ratio": "1:1", "resolution": "1K", "enhance_prompt": False, "seed": 0},
    lines=(PriceLine("FLUX dev", Decimal(5), Decimal(1), Decimal(5)),),
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account and the one key it has."""

    name: str
    key: str

    @classmethod
    def number(cls, number: int) -> Account:
        """The account of this number; all names are equally long."""
        return cls(f"bench-{number:08}", f"fbx_bench{number:035}")


async def make(
    ledger: Ledger, redis_socket: Path, numbers: Sequence[int], *, plan: str | None = None, reserved: bool = False
) -> list[Account]:
    """Make accounts with one key each and no email; subscribed to `plan`, or with one open generation, if asked."""
    accounts = [Account.number(number) for number in numbers]
    first, second, *others = accounts
    recorded = await _made(ledger, redis_socket, first, plan, reserved=reserved)
    check = await _made(ledger, redis_socket, second, plan, reserved=reserved)
    block = packed(recorded)
    # What of an account stands in its keys and values; the longer before what is part of it.
    names = [(name, old) for name in _NAMES if (old := name(first, ledger.partitions)).encode() in block]

    def under_the_names_of(other: Account) -> bytes:
        return renamed(block, {old: name(other, ledger.partitions) for name, old in names})

    if _shape(unpacked(under_the_names_of(second))) != _shape(check):
        raise RuntimeError("the product writes accounts in another way now: _NAMES misses something in them")
    raw = await RawConnection.open(redis_socket)
    await raw.send(packed([[b"CONFIG", b"SET", b"appendfsync", b"no"]]), 1)  # nobody was promised these
    await raw.send_all((under_the_names_of(other) for other in others), len(recorded))
    await raw.send(packed([[b"CONFIG", b"SET", b"appendfsync", b"always"]]), 1)
    await raw.close()
    return accounts


async def reserve(
    ledger: Ledger,
    account: Account,
    *,
    generation: str | None = None,
    operation: str | None = None,
    key: str | None = None,
) -> Reservation:
    """Reserve one image for the account, as `POST /v1/generations` with an idempotency key does."""
    operation = operation or operation_id()
    return await ledger.reserve(
        account=account.name,
        generation=generation or generation_id(partition_of_account(account.name, ledger.partitions)),
        operation=operation,
        request=REQUEST,
        terms=terms_of(CARD, REQUEST.tool),
        pro=False,
        keys_version=0,
        key=key,
        idempotency=(_digest(operation), _digest(PROMPT)),
    )


async def _made(
    ledger: Ledger, redis_socket: Path, account: Account, plan: str | None, *, reserved: bool
) -> list[Command]:
    """Have the product make an account; the commands that it wrote."""
    file = AppendOnlyFile(redis_socket)
    position = file.end()
    operation = operation_id(account.name)
    await ledger.put_account(account=account.name)
    await ledger.add_key(key=account.key, scope=Scope.ACCOUNT, account=account.name, label=None)
    if plan is not None:
        await ledger.subscribe(account=account.name, operation=operation, plan=plan, interval=Interval.MONTHLY)
    if reserved:
        await reserve(ledger, account, generation=_generation(account, ledger.partitions), operation=operation)
    return [command for group in file.since(position) for command in group]


def _generation(account: Account, partitions: int) -> str:
    return generation_id(partition_of_account(account.name, partitions), account.name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _shape(commands: Sequence[Command]) -> list[tuple[bytes, bytes, list[bytes]]]:
    """Commands without times, and without the order of fields, in which Lua is free."""
    return [
        (verb, key, sorted(_TIME.sub(b"(time)", argument) for argument in arguments))
        for verb, key, *arguments in commands
    ]


_NAMES: tuple[Callable[[Account, int], str], ...] = (
    lambda account, partitions: keys.tag(partition_of_account(account.name, partitions)),
    _generation,
    lambda account, _: _digest(operation_id(account.name)),
    lambda account, _: operation_id(account.name),
    lambda account, _: account.name,
    lambda account, _: _digest(account.key),
    lambda account, _: key_id_of(account.key),
)
