"""`/replicate/v1`: predictions, models and files as the `replicate` packages ask for them."""
