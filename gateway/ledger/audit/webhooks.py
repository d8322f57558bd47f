"""Checks webhooks: each is listed by its owner, and its pending events have a due time in the index."""

from __future__ import annotations

from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.audit.keyspace import Key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings
from gateway.ledger.audit.report import AuditDifference, DifferenceKind

_DELIVERIES_AT_ONCE = 500
_WEBHOOKS_AT_ONCE = 500

_WHAT = {
    "lost": ("a delivery time", "none: it will never be delivered"),
    "done": ("nothing due, because it is not pending", "a delivery time: it would be delivered again"),
}


async def check_webhook(reader: Reader, key: Key) -> Findings:
    """Check a webhook against its owner's list, the partition's index, and its oldest deliveries."""
    word, rest = await reader.run("audit_webhook", key.name, limit=_DELIVERIES_AT_ONCE)
    if word == "gone":
        return Findings()
    listed, index, first = (text.decode() for text in rest[:3])
    found = []
    if listed != "1":
        found.append((f"webhook {key.webhook}", "an entry in its owner's list", "none: it receives no events"))
    if index != first:
        found.append((f"webhook {key.webhook}, when it is due", first or "nothing due", index or "nothing due"))
    for event, what in rest[3:]:
        found.append((f"webhook {key.webhook}, event {event.decode()}", *_WHAT[what.decode()]))
    return Findings([_difference(key, *one) for one in found])


async def check_webhook_index(reader: Reader, key: Key) -> Findings:
    """Check that all due webhooks exist."""
    findings, cursor = Findings(), "0"
    while True:
        _, (after, *rows) = await reader.run("audit_webhooks", key.name, cursor=cursor, limit=_WEBHOOKS_AT_ONCE)
        for name, there in rows:
            if there != b"1":
                subject = f"{key.name}, {name.decode()}"
                findings.differences.append(_difference(key, subject, "an existing webhook", "no such webhook"))
        cursor = after.decode()
        if cursor == "0":
            return findings


async def missing_webhooks(reader: Reader, account: str, listed: str) -> list[AuditDifference]:
    """Webhooks in an account's field `webhooks` that do not exist."""
    partition = partition_of_account(account, reader.partitions)
    found = []
    for webhook in (part.partition("=")[0] for part in listed.split(";") if part):
        if not await reader.ledger.command("EXISTS", keys.webhook(partition, account, webhook)):
            subject = f"account {account}, field webhooks"
            found.append(
                AuditDifference(
                    kind=DifferenceKind.WEBHOOK,
                    subject=subject,
                    account=account,
                    expected=f"webhook {webhook}",
                    found="no such webhook",
                )
            )
    return found


def _difference(key: Key, subject: str, expected: str, found: str) -> AuditDifference:
    return AuditDifference(
        kind=DifferenceKind.WEBHOOK, subject=subject, account=key.account, expected=expected, found=found
    )
