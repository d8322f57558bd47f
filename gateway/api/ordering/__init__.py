"""From a request to a generation: priced, its inputs stored, reserved. Independent of HTTP."""
