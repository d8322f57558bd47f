"""`/openai/v1`: images and videos, as called by the `openai` packages."""
