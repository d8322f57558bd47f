"""Parses a key's name into its kind, partition and owner: the reverse of `gateway.ledger.keys`.

The patterns are built by `keys` itself, with patterns in place of ids, so that no key is spelled twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.domain import (
    ALL_ACCOUNTS,
    EVENT_PATTERN,
    GENERATION_PATTERN,
    MEMBER_PATTERN,
    WEBHOOK_PATTERN,
    partition_of_account,
    partition_of_generation,
)
from gateway.ledger import keys
from gateway.ledger.webhooks import DEFAULT

_ACCOUNT = r"(?P<account>[A-Za-z0-9_.@-]{1,64})"  # earlier versions accepted `.` and `..` too
_GENERATION = f"(?P<generation>{GENERATION_PATTERN.strip('^$')})"
_OWNER = rf"(?:{re.escape(ALL_ACCOUNTS)}|{_ACCOUNT})"
_WEBHOOK = f"(?P<webhook>{WEBHOOK_PATTERN.strip('^$')}|{DEFAULT})"
_CLIENT_ID = "tok_[0-9a-f]{32}"
_EVENT = EVENT_PATTERN.strip("^$")
_WORD = "[^:]+"
_TAG = r"\{fb(?P<partition>[0-9a-f]{2})\}"


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A kind of key. `expires`: it always has a TTL; None: a generation's, which has one once ended."""

    name: str
    pattern: re.Pattern[str]
    expires: bool | None


@dataclass(frozen=True, slots=True)
class Key:
    """A parsed key of the ledger. `kind` is None for an unknown name.

    A key with a webhook and no account belongs to an operators' webhook.
    """

    name: str
    kind: KeyKind | None = None
    partition: int | None = None
    account: str | None = None
    generation: str | None = None
    webhook: str | None = None


def _in_partition(spell: Callable[..., str], *parts: str, expires: bool | None = False) -> KeyKind:
    """A kind whose keys `spell` builds from a partition and these patterns."""
    places = [f"\0{index}\0" for index in range(len(parts))]
    pattern = re.escape(spell(0, *places)).replace(re.escape(keys.tag(0)), _TAG)
    for place, part in zip(places, parts, strict=True):
        pattern = pattern.replace(re.escape(place), part)
    return KeyKind(spell.__name__, re.compile(pattern), expires)


def _alone(name: str, pattern: str, *, expires: bool = False) -> KeyKind:
    return KeyKind(name, re.compile(pattern), expires)


KINDS = (
    _in_partition(keys.account, _ACCOUNT),
    _in_partition(keys.generation, _GENERATION, expires=None),
    _in_partition(keys.deadlines),
    _in_partition(keys.unarchived),
    _in_partition(keys.archiving),
    _in_partition(keys.outputs),
    _in_partition(keys.failed, expires=True),
    _in_partition(keys.waiting, _ACCOUNT, _WORD),
    _in_partition(keys.journal, _ACCOUNT),
    _in_partition(keys.recent, _ACCOUNT),
    _in_partition(keys.made_by, _ACCOUNT, MEMBER_PATTERN.strip("^$"), expires=True),
    _in_partition(keys.usage, _ACCOUNT, r"\d{4}-\d\d-\d\d", expires=True),
    _in_partition(keys.usage_keys, _ACCOUNT, r"\d{4}-\d\d-\d\d", expires=True),
    _in_partition(keys.usage_tags, _ACCOUNT, r"\d{4}-\d\d-\d\d", expires=True),
    _in_partition(keys.margin, r"\d{4}-\d\d-\d\d", expires=True),
    _in_partition(keys.idempotency, _ACCOUNT, _WORD, expires=True),
    _in_partition(keys.client_call, _ACCOUNT, _WORD, expires=True),
    _in_partition(keys.checkout, _ACCOUNT, _WORD, expires=True),
    _in_partition(keys.purchases, _ACCOUNT, expires=True),
    _in_partition(keys.billing, _ACCOUNT, expires=True),
    _in_partition(keys.token, _ACCOUNT, _CLIENT_ID, expires=True),
    _in_partition(keys.webhook, _OWNER, _WEBHOOK),
    _in_partition(keys.webhooks),
    _in_partition(keys.pending, _OWNER, _WEBHOOK, expires=True),
    _in_partition(keys.deliveries, _OWNER, _WEBHOOK, expires=True),
    _in_partition(keys.delivery, _OWNER, _WEBHOOK, _EVENT, expires=True),
    _in_partition(keys.totals),
    _in_partition(keys.policy),
    _alone("key", re.escape(keys.key("")) + "key_[0-9a-f]{32}"),
    _alone("client_token", re.escape(keys.client_token("")) + _CLIENT_ID, expires=True),
    _alone("email", re.escape(keys.email("")[:-64]) + "[0-9a-f]{64}"),
    _alone("rate", re.escape(keys.rate("")) + _WORD, expires=True),
    _alone("taken_in", re.escape(keys.taken_in("")) + _WORD, expires=True),
    _alone("bulk", re.escape(keys.bulk("")) + _WORD, expires=True),
    _alone("sign_in", re.escape(keys.sign_in("")) + _WORD, expires=True),
    _alone("person", re.escape(keys.person("")) + _WORD, expires=True),
    _alone("signed_out", re.escape(keys.signed_out("")) + _WORD, expires=True),
    _alone("unapplied", re.escape(keys.UNAPPLIED), expires=True),
    _alone("operators", re.escape(keys.OPERATORS)),
    _alone("meta", re.escape(keys.META)),
    _alone("confirmed", re.escape(keys.confirmed(0)[:-1]) + "[0-9]{1,4}", expires=True),
    _alone("signing_key", re.escape(keys.SIGNING_KEY)),
    _alone("audit", re.escape(keys.AUDIT)),
    _alone("audit_log", re.escape(keys.AUDIT_LOG), expires=True),
    _alone("checkout_owner", re.escape(keys.checkout_owner("")) + _WORD, expires=True),
    _alone("audit_claim", re.escape(keys.AUDIT_CLAIM), expires=True),
)

ADMIN_SCOPE = "admin"
"""The scope of operators' idempotency keys; not an account."""

_OURS = ("{fb", "fb:")


def read_key(name: str, partitions: int) -> Key | None:
    """Parse a name; None if it is not the ledger's, since arq and others may share the server.

    An account or generation in the wrong partition gets kind None.
    """
    if not name.startswith(_OURS):
        return None
    for kind in KINDS:
        match = kind.pattern.fullmatch(name)
        if match is None:
            continue
        found = match.groupdict()
        partition = None if found.get("partition") is None else int(found["partition"], 16)
        key = Key(name, kind, partition, found.get("account"), found.get("generation"), found.get("webhook"))
        return key if _stands_right(key, partitions) else Key(name)
    return Key(name)


def _stands_right(key: Key, partitions: int) -> bool:
    if key.account is not None:
        return key.partition == partition_of_account(key.account, partitions)
    if key.generation is not None:
        return key.partition == partition_of_generation(key.generation) < partitions
    return key.partition is None or key.partition < partitions
