"""The shapes of bodies, queries and responses. They validate, and `/openapi.json` is generated from them."""
