"""Requests read and answers written: nothing here knows what a call is about."""
