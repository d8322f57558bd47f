"""`/openai/v1`: images and videos as the `openai` packages ask for them."""
