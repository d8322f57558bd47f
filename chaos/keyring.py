"""An operator who revokes keys that are in use: after the answer none of them opens anything, on any gateway."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from chaos.actor import Actor

_ACCOUNT = "keyring"
_OK, _UNKNOWN_KEY, _NOT_FOUND = 200, 401, 404
_CALLS = ("/v1/balance", "/v1/journal", "/v1/generations")
_CHECK_SECONDS = 0.1
_TRIES = 200


class Keyring(Actor):
    """Makes a key, has both gateways know it, revokes it, and knocks again."""

    name: ClassVar[str] = "revocation"

    async def open(self) -> None:
        """An account that can pay, so that only the key can be what is refused."""
        await self.load.join(_ACCOUNT, "small")

    async def act(self) -> None:
        """One key's life."""
        path = f"/v1/admin/accounts/{_ACCOUNT}/keys"
        made = await self.load.operate("POST", path, {}, f"revoked {self.rounds}")
        key = made.body.get("key")
        if key is None:  # shown once, and that answer was lost
            return
        for gateway in self.load.gateways:
            await self._knock(gateway, "GET", "/v1/balance", key, expected=_OK)
        revoked = await self.load.call("DELETE", f"{path}/{made.body['id']}", self.load.admin_key)
        if revoked.status not in {_OK, _NOT_FOUND}:  # of a DELETE whose answer was lost, the retry finds no key
            self.checks.problems.append(f"revoking a key was answered {revoked.status}: {revoked.body}")
            return
        for gateway in self.load.gateways:
            for call in self.dice.sample(_CALLS, len(_CALLS)):
                await self._knock(gateway, "GET", call, key, expected=_UNKNOWN_KEY)
            body = {"tool": "image", "model": "sketch", "prompt": "revoked"}
            await self._knock(gateway, "POST", "/v1/generations", key, expected=_UNKNOWN_KEY, body=body)

    async def _knock(self, gateway: str, method: str, path: str, key: str, *, expected: int, body: Any = None) -> None:
        """Call this very gateway until it answers with something else than that it cannot."""
        for _ in range(_TRIES):
            answer = await self.load.call_once(gateway, method, path, key=key, body=body)
            if answer is not None and answer.status < 500:  # noqa: PLR2004
                if expected == _UNKNOWN_KEY:
                    self.checks.seen["calls with a revoked key"] += 1
                if answer.status != expected:
                    said = "a revoked key" if expected == _UNKNOWN_KEY else "a new key"
                    self.checks.problems.append(f"{said} was answered {answer.status} to {method} {path}")
                return
            await asyncio.sleep(_CHECK_SECONDS)
        self.checks.problems.append(f"{gateway} did not answer {method} {path} in {_TRIES} tries")
