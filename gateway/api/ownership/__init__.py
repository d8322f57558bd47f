"""Which account's resources a call is about: read, changed, or refused."""
