"""The caretaker's tasks: rescuing stuck generations, deleting expired files, the daily audit, queue samples."""
