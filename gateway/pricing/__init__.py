"""The rate card: reads, checks and watches `pricing.toml`, and prices requests from it."""
