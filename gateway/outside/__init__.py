"""The world outside: addresses that may be called, calls that leave, signatures, and how foreign text is read."""
