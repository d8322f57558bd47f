"""Checks when a process starts, and messages for its operator."""
