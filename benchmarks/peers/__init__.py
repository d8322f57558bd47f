"""What whoever needs credits would write first, so that a create has something to be compared with.

Each does less than Farebox: no check of the key, one price, no expiry of credits, no plans, limits or webhooks.
`skeleton` is no such program, but what Farebox itself would be without these.
"""
