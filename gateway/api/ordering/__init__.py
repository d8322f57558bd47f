"""From a request to a generation: priced, its inputs stored, reserved. Knows nothing of HTTP requests."""
