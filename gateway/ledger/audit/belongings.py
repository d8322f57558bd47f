"""Checks keys by name: each is of a known kind, belongs to an existing account, and has the right TTL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain import ALL_ACCOUNTS
from gateway.ledger import keys
from gateway.ledger.audit.keyspace import ADMIN_SCOPE, Key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings
from gateway.ledger.audit.report import AuditDifference, DifferenceKind

_GONE = -2
_FOR_EVER = -1


async def check_keys(reader: Reader, found: Sequence[Key]) -> Findings:
    """Check keys against the rules of their kinds. A generation's TTL is checked elsewhere, with its state."""
    findings = Findings()
    known = [key for key in found if key.kind is not None]
    lives, owners = await _ask(reader, known)
    findings.differences += [
        AuditDifference(
            kind=DifferenceKind.ORPHAN,
            subject=f"key {key.name}",
            expected="a known kind of key",
            found="an unknown kind",
        )
        for key in found
        if key.kind is None
    ]
    for key, lives_ms, owned in zip(known, lives, owners, strict=True):
        if lives_ms != _GONE:
            findings.differences += _differences(key, lives_ms, owned=owned)
    return findings


async def _ask(reader: Reader, known: Sequence[Key]) -> tuple[list[int], list[bool]]:
    """For each key its TTL, and whether its owner exists."""
    lives = [("PTTL", key.name) for key in known]
    answers = await reader.ledger.commands([*lives, *(_about_owner(reader, key) for key in known)])
    lives_ms, owned = answers[: len(known)], answers[len(known) :]
    for index, answer in enumerate(owned):
        if isinstance(answer, bytes):  # an API key's record: scope, then account
            _, separator, rest = answer.decode(errors="replace").partition(",")
            account = rest.partition(",")[0]
            owned[index] = separator and (
                not account or await reader.ledger.command("EXISTS", reader.account_key(account))
            )
    return lives_ms, [bool(one) for one in owned]


def _about_owner(reader: Reader, key: Key) -> tuple[str, str]:
    """The command that tells whether a key's owner exists: an API key's record says who that is."""
    if key.kind is not None and key.kind.name == "key":
        return "GET", key.name
    return "EXISTS", _owner_key(reader, key)


def _owner_key(reader: Reader, key: Key) -> str:
    """The key that must exist as this key's owner: its webhook, its account, or itself if it has none."""
    if key.webhook is not None and key.partition is not None:
        owner = key.account or ALL_ACCOUNTS
        if not _is_webhook(key):
            return keys.webhook(key.partition, owner, key.webhook)
        if key.account is None:  # the first partition's copy is authoritative
            return keys.webhook(0, owner, key.webhook)
    return key.name if key.account in {None, ADMIN_SCOPE} else reader.account_key(str(key.account))


def _is_webhook(key: Key) -> bool:
    return key.kind is not None and key.kind.name == "webhook"


def _differences(key: Key, lives_ms: int, *, owned: bool) -> list[AuditDifference]:
    found = []
    if not owned:
        whose = "account" if key.webhook is None or (key.account and _is_webhook(key)) else "webhook"
        name = key.account if whose == "account" else key.webhook
        found.append((DifferenceKind.ORPHAN, f"its {whose} {name or ''}".strip(), f"no such {whose}"))
    expires = key.kind is not None and key.kind.expires
    if expires is not None and expires != (lives_ms != _FOR_EVER):
        wanted, there = ("a TTL", "none: it would stay forever") if expires else ("no TTL", f"a TTL of {lives_ms} ms")
        found.append((DifferenceKind.LIFETIME, wanted, there))
    return [
        AuditDifference(kind=kind, subject=f"key {key.name}", account=key.account, expected=expected, found=there)
        for kind, expected, there in found
    ]
