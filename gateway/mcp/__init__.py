"""Tools for assistants over the Model Context Protocol: each makes a few calls to a gateway's public API."""
