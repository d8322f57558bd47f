"""Access to Redis for the ledger and the queue: connections, batches of commands, how many are in flight."""
