"""How Redis is spoken to: connections, batches of commands, how many are in flight. The ledger and the queue use it."""
