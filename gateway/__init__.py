"""Farebox: a credits gateway for generative media."""
