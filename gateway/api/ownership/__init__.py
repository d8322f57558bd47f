"""Whose things a call is about: read by their owner, changed, or refused."""
