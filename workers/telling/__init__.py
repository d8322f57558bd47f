"""Webhooks: the deliveries that are due are called, one call at a time."""
