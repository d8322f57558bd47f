"""The ledger: credits, holds and generations in Redis, one script per transition."""
