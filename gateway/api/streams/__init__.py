"""Live events: what one gateway hears of changes, and the streams it writes."""
