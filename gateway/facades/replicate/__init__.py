"""`/replicate/v1`: predictions, models and files, as called by the `replicate` packages."""
