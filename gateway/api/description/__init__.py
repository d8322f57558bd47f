"""The API described: `/openapi.json`, `/docs`, samples, names and examples of calls."""
