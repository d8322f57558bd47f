"""Other people's clients: each facade is a translation onto the one ordering, and has no way of its own to credits."""
