"""`farebox account factors`: what an account pays of the prices on the rate card."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from gateway.cli.operator import ask_gateway
from gateway.cli.options import as_json_option, path_of

ShowAccount = Callable[..., None]


class _Factor(click.ParamType[tuple[str, float]]):
    """`video=0.9`: a model, a tool or `*`, and what is paid of its prices. The gateway knows the names."""

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Convert the text."""
        name, _, number = str(value).rpartition("=")
        try:
            factor = Decimal(number)
        except InvalidOperation:
            factor = Decimal(-1)
        if not name or not 0 <= factor <= 1:
            self.fail(f"{value!r} is not a name and a factor from 0 to 1, such as video=0.9", param, ctx)
        return name, float(factor)


def factors_command(show_account: ShowAccount) -> click.Command:
    """The command; `show_account` prints the account afterwards."""

    @click.command()
    @click.argument("name", metavar="ACCOUNT")
    @click.argument("factors", metavar="NAME=FACTOR…", nargs=-1, type=_Factor())
    @click.option("--none", is_flag=True, help="End them: it pays what its plan pays.")
    @click.option("--reason", required=True, help="The reason; kept in the audit log.")
    @as_json_option
    def factors(name: str, factors: tuple[tuple[str, float], ...], reason: str, *, none: bool, as_json: bool) -> None:
        """Set what ACCOUNT pays of the prices on the rate card: of a model, a tool, or `*` for everything else.

        They replace those it has, and are multiplied with the discounts of its plan.

        \b
        Examples:
          farebox account factors acme video=0.9 '*=0.95' --reason "annual contract"
          farebox account factors acme --none --reason "contract ended"
        """
        if none == bool(factors):
            raise click.UsageError("Give factors such as video=0.9, or --none to end them.")
        body = {"factors": dict(factors), "reason": reason}
        show_account(ask_gateway(lambda client: client.call("PUT", f"{path_of(name)}/factors", body)), as_json=as_json)

    return factors
