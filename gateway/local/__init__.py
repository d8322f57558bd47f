"""The local machine: the data folder and its secrets, the embedded Redis, child processes, listening addresses."""
