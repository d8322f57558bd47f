"""One file per noun: parse, call, respond."""
