"""How an object key is one part of a path: with colons, which no key has, as its slashes."""

from __future__ import annotations


def path_of(object_key: str) -> str:
    """The path at which a worker puts or gets the object."""
    return f"/v1/worker/objects/{object_key.replace('/', ':')}"


def key_in_path(part: str) -> str:
    """The object key that a part of such a path names."""
    return part.replace(":", "/")
