"""The HTTP gateway: `routes.py` has the whole surface on one screen; each noun has its own file."""
