"""Shown, not claimed: the real processes under load and under every fault, and what is left of the books afterwards.

| file | is |
|---|---|
| `__main__.py` | the order of things, the table, the exit code |
| `processes.py` | what runs: two gateways, three workers, two caretakers, two Redis; what they log |
| `lines.py` | every process's own way to Redis, which can be cut, held or made to lose answers |
| `load.py` | clients that retry with the same idempotency key, and operators at work meanwhile |
| `faults.py`, `full_memory.py`, `disk.py` | one kind of fault after the other |
| `counting.py` | what must be true of the books when all is quiet again |
| `model.py` | random steps, each against a plain model of the rules |
| `pricing.toml` | a rate card with small pictures, odd prices and short timeouts |
"""
