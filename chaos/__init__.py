"""Shown, not claimed: the real processes under load and under every fault, and what is left of the books afterwards.

| file | is |
|---|---|
| `__main__.py` | the order of things, the table, the exit code |
| `plan.py` | how long a run is and what is in it |
| `processes.py` | what runs: two gateways, three workers, two caretakers, two Redis; what they log |
| `lines.py` | every process's own way to Redis, which can be cut, held or made to lose answers |
| `load.py` | clients that retry with the same idempotency key, and operators at work meanwhile |
| `actor.py`, `cast.py` | those who act beside the orders, round after round, each its own story: |
| `cards.py`, `quoting.py`, `buying.py` | rate cards saved under load, quotes, purchases |
| `clocks.py`, `keyring.py`, `streams.py` | test clocks, revoked keys, live events |
| `printing.py`, `box.py` | prints, and the two providers that make them |
| `faults.py`, `full_memory.py`, `disk.py` | one kind of fault after the other |
| `counting.py`, `findings.py` | what must be true of the books when all is quiet again; with it: |
| `given.py`, `prices.py`, `receipts.py`, `lifetimes.py` | own sums of what was given and charged; when keys expire |
| `providers.py` | which provider was asked when, and what was charged by what it reported |
| `checks.py`, `report.py` | what was looked at, how often; the figures |
| `upgrade.py`, `versions.py` | with `UPGRADE_FROM=`: a rolling upgrade from another version, and back |
| `failovers/` | another run, with `TOPOLOGY=`: the ledger on several servers that fail over |
| `remote.py` | another run, with `REMOTE=`: a worker in a network of its own, with nothing but HTTPS, is cut off |
| `mutants.py` | Farebox with one line made wrong, which a run must notice |
| `model.py` | random steps, each against a plain model of the rules |
| `pricing.toml` | a rate card with small pictures, odd prices and short timeouts |
"""
