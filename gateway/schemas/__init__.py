"""The shapes of bodies, queries and answers: what validates them is also what `/openapi.json` is made from."""
