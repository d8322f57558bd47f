"""`/fal`: the queue, `run` and `stream`, as called by the `fal_client` packages."""
