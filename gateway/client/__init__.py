"""A running gateway as its clients see it: the command line and the tools for assistants."""
