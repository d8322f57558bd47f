"""One attempt at a generation: begun by a job, made by a provider, checked, stored, delivered and ended."""
