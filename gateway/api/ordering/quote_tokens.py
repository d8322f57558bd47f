"""Quote tokens: a signed price, valid for ten minutes (R23). They bind everything that the price depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from gateway.api.errors import QuoteExpired, QuoteMismatch
from gateway.clock import LedgerTimeSigner
from gateway.domain import PriceLine, SettingValue
from gateway.errors import FieldProblem
from gateway.ledger.metering_records import decode_metering, encode_metering
from gateway.metering import Metering
from gateway.pricing.measures import INPUT_COUNTS, PROMPT_CHARACTERS
from gateway.pricing.quote import Quote
from gateway.pricing.values import canonical, show
from gateway.schemas.base import as_number

QUOTE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class LockedPrice:
    """The price in a token."""

    millicredits: int
    lines: tuple[PriceLine, ...]
    rate_card: str
    metering: Metering | None


class QuoteTokens:
    """Creates and verifies quote tokens; `secret` is the gateways' common signing key."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="farebox.quote", signer=LedgerTimeSigner)

    def make(self, account: str, quote: Quote) -> str:
        """A token for this price of this request, for this account."""
        return str(
            self._serializer.dumps(
                _bound(account, quote)
                | {
                    "millicredits": quote.price_millicredits,
                    "lines": [
                        [line.label, str(line.credits), str(line.count), str(line.total)] for line in quote.lines
                    ],
                    "rate_card": quote.rate_card,
                }
                | ({} if quote.metering is None else {"meters": encode_metering(quote.metering)})
            )
        )

    def open(self, token: str, account: str, quote: Quote) -> LockedPrice:
        """The price that `token` locks for the request that `quote` prices; QuoteExpired or QuoteMismatch if none."""
        try:
            shown = self._serializer.loads(token, max_age=QUOTE_SECONDS)
        except SignatureExpired:
            raise QuoteExpired(
                "This quote has expired: quotes are valid for ten minutes. Request a new one (POST /v1/quotes)."
            ) from None
        except BadSignature:
            text = "was not issued by this gateway"
            raise QuoteMismatch(
                "The `quote` was not issued by this gateway. Request a new one (POST /v1/quotes).",
                fields=[FieldProblem("quote", text)],
            ) from None
        problems = list(_differences(shown, _bound(account, quote)))
        if problems:
            differing = ", ".join(problem.path for problem in problems)
            raise QuoteMismatch(
                f"The quote is for a different request: {differing} differs. Request a new quote.",
                fields=problems,
            )
        lines = tuple(
            PriceLine(label, Decimal(unit), Decimal(count), Decimal(total))
            for label, unit, count, total in shown["lines"]
        )
        metering = decode_metering(shown["meters"]) if "meters" in shown else None
        return LockedPrice(int(shown["millicredits"]), lines, str(shown["rate_card"]), metering)


def _bound(account: str, quote: Quote) -> dict[str, Any]:
    return {
        "account": account,
        "tool": quote.tool,
        "model": quote.model_id,
        "settings": {name: _plain(value) for name, value in quote.settings.items()},
        "outputs": quote.outputs,
        "input_images": quote.input_images,
        "input_videos": quote.input_videos,
        "input_audios": quote.input_audios,
        "measures": {name: f"{amount:f}" for name, amount in quote.measures.items()},
    }


def _plain(value: SettingValue) -> str | int | float | bool:
    return as_number(value) if isinstance(value, Decimal) else value


def _differences(shown: Mapping[str, Any], asked: Mapping[str, Any]) -> list[FieldProblem]:
    """The differences. Accounts are never named: another account's token reveals nothing."""
    problems = []
    for name in ("tool", "model", "outputs", *INPUT_COUNTS):
        before = shown.get(name, 0)  # tokens of earlier versions do not count audio, which these did not accept
        if before != asked[name]:
            path = "inputs" if name.startswith("input_") else name
            problems.append(FieldProblem(path, f"was {json.dumps(before)} in the quote"))
    if shown["account"] != asked["account"]:
        problems.append(FieldProblem("quote", "is for a different account"))
    for name, amount in asked["measures"].items():
        if shown.get("measures", {}).get(name) != amount:  # tokens of earlier versions have none
            path = "prompt" if name == PROMPT_CHARACTERS else "inputs"
            problems.append(FieldProblem(path, f"differ from the quote: now {amount} {name}"))
    for name in sorted(shown["settings"].keys() | asked["settings"].keys()):
        before, now = shown["settings"].get(name), asked["settings"].get(name)
        if before != now or isinstance(before, bool) is not isinstance(now, bool):
            said = "was not set in the quote" if before is None else f"was {show(canonical(before))} in the quote"
            problems.append(FieldProblem(f"settings.{name}", said))
    return problems
