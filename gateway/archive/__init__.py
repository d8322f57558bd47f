"""The archive: the ledger's history in PostgreSQL, read when Redis has it no more."""
