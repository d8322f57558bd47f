"""The audit log as shown to operators."""

from __future__ import annotations

from gateway.ledger.audit_log import LoggedCall
from gateway.schemas.audit_log import AuditLogEntryOut
from gateway.schemas.base import utc


def audit_log_entry_shape(logged: LoggedCall) -> AuditLogEntryOut:
    """One entry."""
    call = logged.call
    return AuditLogEntryOut(
        id=logged.id,
        object="audit_log_entry",
        created_at=utc(logged.at),
        key=call.key,
        role=call.role,
        member=call.member,
        address=call.address,
        action=call.action,
        account=call.account,
        subject=call.subject,
        before=None if call.before is None else dict(call.before),
        after=None if call.after is None else dict(call.after),
        reason=call.reason,
        request_id=call.request,
        operation=call.operation,
        status=call.status,
        replayed=call.replayed,
    )
