"""What the rate card, requests and workers share about providers: workflow files, sandbox controls."""
