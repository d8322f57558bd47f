"""`farebox generation`: a generation's state and credits, over the HTTP API of a running gateway."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from gateway.cli.account import journal_table
from gateway.cli.operator import ask_gateway
from gateway.cli.say import say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.client.calls import GatewayClient


@click.command()
@click.argument("generation_id", metavar="GENERATION")
@click.option("--json", "as_json", is_flag=True, help="Print the generation and its receipt as JSON.")
def generation(generation_id: str, *, as_json: bool) -> None:
    """Show GENERATION: its state, its itemized price, the grants that paid it, and its journal entries.

    Talks to the running gateway with the admin key, as `farebox account` does.

    \b
    Example:
      farebox generation gen_2fabc…
    """

    async def read(client: GatewayClient) -> dict[str, Any]:
        path = f"/v1/generations/{quote(generation_id, safe='')}"
        return {"generation": await client.call("GET", path), "receipt": await client.call("GET", f"{path}/receipt")}

    answer = ask_gateway(read)
    if as_json:
        say_json(answer)
        return
    _show(answer["generation"], answer["receipt"], Terminal())


def _show(found: dict[str, Any], receipt: dict[str, Any], console: Terminal) -> None:
    delivered, asked = receipt["outputs_delivered"], receipt["outputs_requested"]
    console.print(f"[bold]{found['id']}[/]  {found['status']}  ·  account {found['account']}", soft_wrap=True)
    of_what = as_text(f"{found['tool']} {found['model']}")
    console.print(f"{of_what}  ·  {delivered} of {asked} outputs  ·  attempt {found['attempt']}")
    times = {"made": found["created_at"], "begun": found["started_at"], "ended": found["finished_at"]}
    console.print("  ·  ".join(f"{what} {at}" for what, at in times.items() if at))
    if found["error"]:
        console.print(f"[red]{found['error']['code']}[/]: {as_text(found['error']['message'])}", soft_wrap=True)
    console.print()
    console.print_whole(_price(receipt))
    console.print(
        f"held {receipt['held']:,}, committed [bold]{receipt['committed']:,}[/], refunded {receipt['refunded']:,}\n"
    )
    console.print_whole(_allocation(receipt["allocation"]))
    console.print_whole(journal_table(receipt["entries"], "Journal"))


def _price(receipt: dict[str, Any]) -> Table:
    table = Table(
        title=f"Price, rate card {receipt['rate_card'][:15]}…", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("for", overflow="fold")
    for column in ("credits", "count", "total"):
        table.add_column(column, justify="right")
    for line in receipt["lines"]:
        table.add_row(as_text(line["label"]), *(f"{line[name]:,}" for name in ("credits", "count", "total")))
        if line.get("charged") is not None:
            reported = "not reported" if line["reported"] is None else f"reported {line['reported']:,}"
            table.add_row(f"  {reported}, charged for {line['charged']:,}")
    price = "price, at most" if "at_most" in receipt else "price"
    table.add_row(f"[bold]{price}[/]", "", "", f"[bold]{receipt['credits']:,}[/]")
    return table


def _allocation(shares: list[dict[str, Any]]) -> Table:
    table = Table(title="Drawn from", title_justify="left", box=None, pad_edge=False)
    table.add_column("bucket")
    table.add_column("grant")
    table.add_column("credits", justify="right")
    for share in shares:
        table.add_row(share["bucket"], share["grant"], f"{share['credits']:,}")
    return table
