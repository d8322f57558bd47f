"""The outside world: allowed addresses, outgoing calls, signatures, and parsing of untrusted text."""
