"""Kill everything, then count: what `make chaos` runs."""
