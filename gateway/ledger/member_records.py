"""Members of an account, as the ledger knows them (R25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain import Role
from gateway.ledger.limits import Counter, Limit, decode_counter, decode_limit


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an account. `removed_at`: no longer one, and kept so that what they made keeps its name.

    `counter`: what they have spent with all of their keys, of their `limit` or without one; None: nothing yet.
    """

    id: str
    name: str
    role: Role
    created_at: int
    email: str | None = None
    removed_at: int | None = None
    limit: Limit | None = None
    counter: Counter | None = None


def decode_members(fields: Mapping[str, str]) -> tuple[Member, ...]:
    """The members in an account's fields, oldest first, those removed among them."""
    found = (_decode_member(name[7:], text, fields) for name, text in fields.items() if name.startswith("member:"))
    return tuple(sorted(found, key=lambda member: (member.created_at, member.id)))


def role_of(text: str | None) -> Role | None:
    """The role in a member's field; None for one who was removed."""
    if text is None:
        return None
    _, role, removed, _ = text.split(",", 3)
    return None if removed else Role(role)


def _decode_member(member: str, text: str, fields: Mapping[str, str]) -> Member:
    """Decode created at,role,removed at or "",name."""
    created, role, removed, name = text.split(",", 3)
    limit, counter = fields.get(f"limit:{member}"), fields.get(f"counted:{member}")
    return Member(
        id=member,
        name=name,
        role=Role(role),
        created_at=int(created),
        email=fields.get(f"email:{member}"),
        removed_at=int(removed) if removed else None,
        limit=decode_limit(limit) if limit else None,
        counter=decode_counter(counter) if counter else None,
    )
