"""The only place in Python where the ledger's keys are spelled (in Lua: `lib/keys.lua`, `lib/webhook_keys.lua`).

Every key of a partition carries its hash tag, so that a script's keys share one slot of a Redis Cluster.
`gateway/ledger/README.md` says what each key holds.
"""

from __future__ import annotations

import hashlib

from gateway import domain

META = "fb:meta"
AUDIT = "fb:audit"
AUDIT_CLAIM = "fb:audit:claim"
AUDIT_LOG = "fb:audit_log"  # sorted set: what operators' keys changed; bounded; expires 400 days after the last
UNAPPLIED = "fb:unapplied"  # hash: payment event → its record, as JSON; bounded; expires 400 days after a change
SIGNING_KEY = "fb:signing_key"  # string: a fingerprint of the key that its gateways and caretakers sign with
OPERATORS = "fb:operators"  # hash: the list of operators' keys, in the format of an account's


def tag(partition: int) -> str:
    """The hash tag of a partition: `{fb07}`."""
    return f"{{fb{partition:02x}}}"


def never(key: str) -> str | None:
    """A key that is never written, in the slot of a script's key; None if that has no tag: it is used alone then."""
    tagged, end, _ = key.partition("}")
    return f"{tagged}{end}:never" if end else None


def confirmed(number: int) -> str:
    """String: written before a node of a cluster is asked what its replicas have; one whose slot is that node's."""
    return f"fb:confirmed:{number}"


def account(partition: int, account: str) -> str:
    """Hash: one account."""
    return f"{tag(partition)}:account:{account}"


def generation(partition: int, generation: str) -> str:
    """Hash: one generation."""
    return f"{tag(partition)}:generation:{generation}"


def deadlines(partition: int) -> str:
    """Sorted set: open generation → when it must be checked (real time, ms)."""
    return f"{tag(partition)}:deadlines"


def outputs(partition: int) -> str:
    """Sorted set: ended generation → when its outputs are to be deleted (real time, ms)."""
    return f"{tag(partition)}:outputs"


def failed(partition: int) -> str:
    """Sorted set: failed generation → when it failed (real time, ms); the newest 2,000."""
    return f"{tag(partition)}:failed"


def waiting(partition: int, account: str, tool: str) -> str:
    """Sorted set: an account's waiting generations of a tool, in order."""
    return f"{tag(partition)}:waiting:{account}:{tool}"


def token(partition: int, account: str, token: str) -> str:
    """Hash: what a client token may spend, and has spent."""
    return f"{tag(partition)}:token:{account}:{token}"


def journal(partition: int, account: str) -> str:
    """List: an account's entries, newest first."""
    return f"{tag(partition)}:journal:{account}"


def recent(partition: int, account: str) -> str:
    """Sorted set: an account's generations in order of creation."""
    return f"{tag(partition)}:recent:{account}"


def made_by(partition: int, account: str, member: str) -> str:
    """Sorted set: a member's generations in order of creation."""
    return f"{tag(partition)}:made_by:{account}:{member}"


def usage(partition: int, account: str, day: str) -> str:
    """Hash: counters of one day (`2026-11-22`), per tool and model."""
    return f"{tag(partition)}:usage:{account}:{day}"


def usage_keys(partition: int, account: str, day: str) -> str:
    """Hash: the part of a day's usage that keys and members have, per tool, model, key and member."""
    return f"{tag(partition)}:usage_keys:{account}:{day}"


def usage_tags(partition: int, account: str, day: str) -> str:
    """Hash: the part of a day's usage that has tags, per tool, model and tag."""
    return f"{tag(partition)}:usage_tags:{account}:{day}"


def margin(partition: int, day: str) -> str:
    """Hash: what generations of one day (`2026-11-22`) earned and cost, per model, provider and bucket."""
    return f"{tag(partition)}:margin:{day}"


def idempotency(partition: int, scope: str, digest: str) -> str:
    """String: the response to an idempotency key (or an operation) of an account or `admin`."""
    return f"{tag(partition)}:idempotency:{scope}:{digest}"


def client_call(partition: int, account: str, digest: str) -> str:
    """List: the keys of a client's equal calls, for their retries; kept for minutes."""
    return f"{tag(partition)}:client_call:{account}:{digest}"


def checkout(partition: int, account: str, checkout: str) -> str:
    """Hash: one purchase; 400 days after its last change."""
    return f"{tag(partition)}:checkout:{account}:{checkout}"


def purchases(partition: int, account: str) -> str:
    """Sorted set: an account's purchases by start time (real time, ms)."""
    return f"{tag(partition)}:purchases:{account}"


def billing(partition: int, account: str) -> str:
    """Hash: what a payment provider reported about an account's subscriptions; 400 days after its last change."""
    return f"{tag(partition)}:billing:{account}"


def webhook(partition: int, owner: str, webhook: str) -> str:
    """Hash: one webhook of an account, or of the operators (`ALL_ACCOUNTS`): these have a copy in each partition."""
    return f"{tag(partition)}:webhook:{owner}:{webhook}"


def delivery(partition: int, owner: str, webhook: str, event: str) -> str:
    """Hash: one event for one webhook; 30 days."""
    return f"{tag(partition)}:delivery:{owner}:{webhook}:{event}"


def deliveries(partition: int, owner: str, webhook: str) -> str:
    """Sorted set: a webhook's events by time (real time, ms)."""
    return f"{tag(partition)}:deliveries:{owner}:{webhook}"


def pending(partition: int, owner: str, webhook: str) -> str:
    """Sorted set: a webhook's undelivered event → its next try (real time, ms)."""
    return f"{tag(partition)}:pending:{owner}:{webhook}"


def webhooks(partition: int) -> str:
    """Sorted set: webhook (`owner:id`) with pending events → when the first is due (real time, ms)."""
    return f"{tag(partition)}:webhooks"


def totals(partition: int) -> str:
    """Hash: sums over a partition."""
    return f"{tag(partition)}:totals"


def policy(partition: int) -> str:
    """Hash: what scripts need of the rate card."""
    return f"{tag(partition)}:policy"


def unarchived(partition: int) -> str:
    """Sorted set: account, or account and generation, that changed since it was archived → when first (ms)."""
    return f"{tag(partition)}:unarchived"


def archiving(partition: int) -> str:
    """Sorted set: the same for those whose copy is not confirmed yet."""
    return f"{tag(partition)}:archiving"


def subject(key: str) -> list[tuple[str, str]]:
    """A key's subject as log fields: `[("account", "acme")]`; empty for a key of a whole partition."""
    _, _, rest = key.partition(":")
    kind, _, name = rest.partition(":")
    match kind:
        case "account" | "generation":
            return [(kind, name)]
        case "checkout":
            return list(zip(("account", "checkout"), name.split(":"), strict=True))
        case "webhook":
            owner, webhook_id = name.split(":")
            return (
                [("account", owner), ("webhook", webhook_id)]
                if owner != domain.ALL_ACCOUNTS
                else [("webhook", webhook_id)]
            )
        case "billing":
            return [("account", name)]
        case _:
            return []


def key(key_id: str) -> str:
    """String: an API key's record. `key_id` is the start of the key's digest."""
    return f"fb:key:{key_id}"


def client_token(token: str) -> str:
    """String: a client token's record, for as long as it is valid."""
    return f"fb:client_token:{token}"


def sign_in(nonce: str) -> str:
    """String: a one-time sign-in link has been used; for the lifetime of such links."""
    return f"fb:sign_in:{nonce}"


def person(person: str) -> str:
    """String: the account that a person of an OpenID provider signs in to."""
    return f"fb:person:{person}"


def signed_out(key_id: str) -> str:
    """Sorted set: signed-out session of a key → when it began (gateways' seconds)."""
    return f"fb:signed_out:{key_id}"


def bulk(token: str) -> str:
    """Hash: a bulk operation of operators, and its results; for a day after the last."""
    return f"fb:bulk:{token}"


def rate(key_id: str) -> str:
    """String: when an API key's request allowance is full again."""
    return f"fb:rate:{key_id}"


def taken_in(account: str) -> str:
    """String: when an account's upload allowance is full again."""
    return f"fb:taken_in:{account}"


def checkout_owner(checkout: str) -> str:
    """String: the account that started a purchase, to find it by its id alone."""
    return f"fb:checkout_owner:{checkout}"


def email(address: str) -> str:
    """String: the account with this email address."""
    return f"fb:email:{hashlib.sha256(address.strip().lower().encode()).hexdigest()}"
