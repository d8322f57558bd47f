"""The API's description: `/openapi.json`, `/docs`, samples, names and examples of calls."""
