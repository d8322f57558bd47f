"""What several commands take: an account, credits, `--json`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import click

from gateway.domain import credits_to_millicredits, is_account_id


class _Credits(click.ParamType[int | float]):
    """A number of credits with at most three decimals, checked before it is sent."""

    name = "credits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Convert the text to the exact JSON number."""
        try:
            amount = Decimal(value)
            credits_to_millicredits(amount)
        except (ArithmeticError, ValueError):
            self.fail(f"{value!r} is not a number of credits with at most three decimals, such as 73.5", param, ctx)
        return int(amount) if amount == amount.to_integral_value() else float(amount)


CREDITS = _Credits()
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")


def path_of(name: str) -> str:
    """The path of an account's calls; a ClickException if it is no account id."""
    if not is_account_id(name):  # `..` would change the call's path
        raise click.ClickException(f"{name!r} is not an account id: 1 to 64 letters, digits or any of _ . @ -")
    return f"/v1/admin/accounts/{quote(name, safe='@')}"
