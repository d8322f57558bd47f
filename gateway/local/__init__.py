"""This machine: the data folder and its secrets, the embedded Redis, the processes, the addresses listened on."""
