"""Tools for assistants over the Model Context Protocol: each is a few calls of a running gateway's public API."""
