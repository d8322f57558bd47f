"""`farebox doctor`: checks everything that this machine needs to run Farebox, and says what to do about each problem.

It changes nothing: no key is written, no secret generated, no server started.
"""
