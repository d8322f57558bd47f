"""`make chaos TOPOLOGY=sentinel|cluster`: the ledger on several servers, which fail and come back under load.

| file | is |
|---|---|
| `run.py` | one round or many, the exit code |
| `round.py` | the order of things in a round |
| `results.py` | what many rounds come to, in a file that a run goes on with |
| `network.py` | a machine of its own for each server: a network namespace, which can be cut off |
| `servers.py` | what both topologies have: servers that are killed, frozen, started again, cut off |
| `sentinels.py`, `nodes.py` | one master, two replicas and three Sentinels; three masters with a replica each |
| `faults.py` | one kind of fault after the other |
| `probes.py` | how long it takes until something is accepted again |
| `installation.py` | gateways, workers, a caretaker and the queue's Redis |
| `report.py` | the figures |
"""
