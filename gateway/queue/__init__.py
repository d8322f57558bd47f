"""The queue: how what the ledger has queued reaches a worker, and what is watched of it. It decides no credits."""
