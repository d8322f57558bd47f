"""The pages, and what they are made of: served as they are."""
