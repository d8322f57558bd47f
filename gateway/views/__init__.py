"""How things are shown to callers, by the API, event streams and webhooks alike."""
