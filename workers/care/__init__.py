"""What caretakers do besides webhooks: rescues, deletions, the daily audit, samples."""
