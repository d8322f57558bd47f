"""The audit log: what operators' keys changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from gateway.domain import ACCOUNT_PATTERN
from gateway.schemas.base import Answer, PageQuery, Period, Text, Time

ENTRY_PATTERN = r"^[0-9]{1,16}-[0-9]{1,10}$"

StateOut = TypeAliasType(
    "StateOut",
    Annotated[dict[str, Any], Field(examples=[{"balance.available": 40, "balance.buckets.top_up.available": 40}])],
)
"""Named values of what a call changed."""


class AuditLogQuery(Period, PageQuery):
    """Filters and paging for the audit log."""

    before: (
        Annotated[str, Field(pattern=ENTRY_PATTERN, description="The `next` value of the previous page.")] | None
    ) = None
    account: Annotated[str, Field(pattern=ACCOUNT_PATTERN, description="Only calls about this account.")] | None = None
    key: Annotated[Text, Field(max_length=64, description="Only calls with this key, by its id.")] | None = None
    action: (
        Annotated[Text, Field(max_length=64, description="Only this call, by `operationId`: `grantCredits`.")] | None
    ) = None


class AuditLogEntryOut(Answer):
    """A call of an operator, or of a member who manages an account, that changed something, or was refused."""

    id: str
    object: Literal["audit_log_entry"]
    created_at: Time
    key: str = Field(description="The id of the key; `root` for the one in the gateway's settings.")
    role: str | None = Field(description="The key's role at the time; null for entries of earlier versions.")
    member: str | None = Field(description="The member whose key it is; null: an operator's.")
    address: str = Field(description="The client's address.")
    action: str = Field(description="The call: its `operationId` in this description.")
    account: str | None
    subject: str | None = Field(description="The id of what the call was about: an account, a key, a webhook, …")
    before: StateOut | None = Field(
        description=(
            "What the call changed, as it was. Without a `status`, all that it could change. Of emails, names, "
            "metadata, labels, descriptions, networks and URLs it is only shown that they changed."
        )
    )
    after: StateOut | None = Field(description="The same afterwards; null if nothing was changed, or it is not known.")
    reason: str | None
    request_id: str
    operation: str | None = Field(description="The same for all retries with one `Idempotency-Key`.")
    status: int | None = Field(
        description="The status of the response; null if none is known: the call is running, or the gateway died."
    )
    replayed: bool = Field(description="Whether an earlier call with the same `Idempotency-Key` had made the change.")


class AuditLogOut(Answer):
    """A page of the audit log. Pass `next` as `before` to get the next page; null on the last page."""

    data: list[AuditLogEntryOut]
    next: str | None = Field(description="A page with filters may be short, or empty, and still have a next one.")
