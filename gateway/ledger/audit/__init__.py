"""The audit: checks on a live ledger that journals match balances, and held credits match open generations.

`audit` runs it, `remember` stores the result, `last_audit` reads it. `gateway/ledger/README.md` lists what is
compared; docs/running.md says what to do about a difference.
"""

from gateway.ledger.audit.report import AuditDifference, Report
from gateway.ledger.audit.result import (
    LastAudit,
    claim_audit,
    keep_claim,
    last_audit,
    make_audit_due,
    next_audit_in_ms,
    remember,
)
from gateway.ledger.audit.walk import audit

__all__ = [
    "AuditDifference",
    "LastAudit",
    "Report",
    "audit",
    "claim_audit",
    "keep_claim",
    "last_audit",
    "make_audit_due",
    "next_audit_in_ms",
    "remember",
]
