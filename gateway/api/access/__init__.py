"""Who is calling: API keys, sessions, wrong keys, and the signatures of callbacks."""
