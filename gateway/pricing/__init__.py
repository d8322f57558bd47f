"""The rate card: `pricing.toml` read, proved, priced from and watched."""
