"""`/openai/v1`: images, videos and speech, as called by the `openai` packages."""
