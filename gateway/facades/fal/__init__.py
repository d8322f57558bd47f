"""`/fal`: the queue, `run` and `stream` as the `fal_client` packages ask for them."""
