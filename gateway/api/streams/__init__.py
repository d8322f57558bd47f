"""Live events: change notices received by this gateway, and the streams it writes."""
