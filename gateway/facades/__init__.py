"""APIs for other vendors' clients: each facade translates calls to `api/ordering`, and never handles credits itself."""
