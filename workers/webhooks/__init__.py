"""Sends webhook events: calls the receivers whose deliveries are due, and records the result."""
