"""Reads requests and writes responses, independent of what a call is about."""
