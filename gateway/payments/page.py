"""The page of a purchase: plain HTML in the console's design, with its stylesheet and theme script."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from urllib.parse import urlsplit

from gateway.domain import format_credits
from gateway.ledger.payments import Checkout

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{again}<title>{title}</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/console.css">
<script src="/static/theme.js"></script>
</head>
<body class="card-page">
<main class="card">
<p class="brand"><svg aria-hidden="true"><use href="/static/icons.svg#brand"/></svg>Farebox</p>
<h1>{title}</h1>
{test}{body}
</main>
</body>
</html>
"""
_LOOK_AGAIN = '<meta http-equiv="refresh" content="5">\n'
_TEST = '<p class="notice"><strong>This is a test.</strong> No real payment is made either way.</p>'
_FORM = """\
<form method="post" action="/checkout/{checkout}">
<input type="hidden" name="token" value="{token}">
<button name="answer" value="pay" class="primary large">Pay {price}</button>
<button name="answer" value="decline">Decline</button>
</form>"""


def page(checkout: Checkout, token: str) -> str:
    """The purchase, its price and its status; with buttons while a test purchase is open."""
    local, again = checkout.provider == "local", ""
    match checkout.status:
        case "paid":
            title, said = "Paid", f'<p class="notice good">{_given(checkout)}</p>{_back(checkout.success_url)}'
        case "declined" | "failed" | "expired":
            title = {"declined": "Declined", "failed": "Payment failed", "expired": "Expired"}[checkout.status]
            said = f"<p>Nothing was charged, and nothing was added.</p>{_back(checkout.cancel_url)}"
        case _ if local:
            title = "Test checkout"
            said = _FORM.format(checkout=escape(checkout.id), token=escape(token), price=escape(price_text(checkout)))
        case _:
            title, again = "Not paid yet", _LOOK_AGAIN
            said = (
                "<p>The payment has not been confirmed yet. This can take a minute after you pay; this page "
                "refreshes by itself. If you left the payment page, nothing was "
                f"charged.</p>{_back(checkout.cancel_url)}"
            )
    return _PAGE.format(again=again, title=title, test=_TEST if local else "", body=f"{_bought(checkout)}\n{said}")


def missing() -> str:
    """The page for an invalid or expired link."""
    text = "<p>This link is incomplete, or more than two days old. Request a new one where you got it.</p>"
    return _PAGE.format(again="", title="No such checkout", test="", body=text)


def price_text(checkout: Checkout) -> str:
    """A price as shown: `5.00 USD`."""
    return f"{checkout.price.quantize(Decimal('0.01'))} {checkout.currency}"


def _bought(checkout: Checkout) -> str:
    credits_ = f"{format_credits(checkout.millicredits)} credits"
    rows = {"What": checkout.name, "Credits": credits_, "Price": price_text(checkout), "Account": checkout.account}
    if checkout.interval is not None:
        rows |= {"Credits": f"{credits_} a month", "Price": f"{price_text(checkout)}, {checkout.interval}"}
    return (
        '<dl class="pairs">'
        + "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows.items())
        + "</dl>"
    )


def _back(url: str | None) -> str:
    """The link to continue: back to where the purchase was started, else to the console."""
    if url is None:
        return '\n<p>You can close this page, or go <a href="/">back to Farebox</a>.</p>'
    return f'\n<p><a href="{escape(url)}">Back to {escape(urlsplit(url).netloc)}</a></p>'


def _given(checkout: Checkout) -> str:
    if checkout.kind == "plan":
        return f"The plan {escape(checkout.name)} is active."
    return f"{format_credits(checkout.millicredits)} credits were added."
