"""One file per noun. Handlers parse, call and respond."""
