"""Everything that callers are shown, whoever shows it: the API, a stream or a webhook."""
