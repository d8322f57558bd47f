"""One attempt at a generation: started by a queue job, run by a provider; its outputs are checked and stored."""
