"""The audit: proof, on a live ledger, that the journal is the balance and that held is what is open.

`audit` makes it, `remember` keeps what it came to, `last_audit` reads that. `gateway/ledger/README.md` says what is
compared; docs/running.md says what to do about a difference.
"""

from gateway.ledger.audit.report import AuditDifference, Report
from gateway.ledger.audit.result import LastAudit, claim_audit, keep_claim, last_audit, remember
from gateway.ledger.audit.walk import audit

__all__ = ["AuditDifference", "LastAudit", "Report", "audit", "claim_audit", "keep_claim", "last_audit", "remember"]
