"""Backups: a consistent copy of Farebox's data, with a manifest to verify it, and how to restore it.

`snapshot` copies the ledger's Redis, `manifest` says what is in a backup and checks it, `take` makes one, `restore`
puts one back. A backup is a folder:

| in it | is |
|---|---|
| `manifest.json` | versions, when, and every file with its size and SHA-256; written last |
| `ledger/appendonlydir/` | the ledger, as a Redis with `appendonly yes` reads it |
| `keys/` | `admin-key` and `signing-key` |
| `rate-card/` | the rate card and the workflows that it names |
| `outputs/` | outputs, inputs and uploads of a local store |
"""
