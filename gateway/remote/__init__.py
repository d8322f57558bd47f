"""What workers without Redis call over HTTP, and how a call and its answer are written."""
