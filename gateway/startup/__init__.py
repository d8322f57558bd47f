"""What is looked at when a process starts, and said to whoever runs it."""
