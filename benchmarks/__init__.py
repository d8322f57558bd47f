"""Speed as ratios to a floor measured in the same run: what `make bench` runs. `docs/performance.md` explains it."""
