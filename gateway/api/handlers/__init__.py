"""One file a noun: parse, call, show."""
