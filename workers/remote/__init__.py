"""A worker without Redis: everything goes through the gateway's HTTP API (`farebox worker TOOL --via URL`)."""
