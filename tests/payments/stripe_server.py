"""A server that speaks Stripe's wire format: form-encoded requests with brackets, JSON answers, errors in its envelope.

It keeps what it is asked for, answers a repeated idempotency key as the first time, and refuses one that is used for
another request, as Stripe does (https://docs.stripe.com/api/idempotent_requests).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import web

KEY = "sk_test_not_a_real_key_51"


@dataclass
class StripeServer:
    """What was asked, and what there is."""

    address: str = ""
    sessions: list[dict[str, Any]] = field(default_factory=list)
    """The parameters of each session that was made, brackets resolved."""
    payment_intents: dict[str, dict[str, str]] = field(default_factory=dict)
    """Metadata by payment intent."""
    amounts: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Amount and currency by payment intent, where a test says them."""
    charges: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What a charge brought to the balance, in the balance's currency."""
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The parameters of each customer that was made."""
    without_customers: bool = False
    """The key may not make any."""
    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Invoices by payment intent."""
    refunds: list[dict[str, Any]] = field(default_factory=list)
    may_read_invoices: bool = True
    cancelled: list[str] = field(default_factory=list)
    subscriptions: set[str] = field(default_factory=set)
    updates: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What was asked to be changed of which subscription."""
    headers: list[Mapping[str, str]] = field(default_factory=list)
    failing: int = 0
    """How many requests more are answered with 503."""
    _answers: dict[str, tuple[str, web.Response]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._around])
        app.router.add_post("/v1/checkout/sessions", self._make_session)
        app.router.add_get("/v1/invoice_payments", self._invoice_payments)
        app.router.add_get("/v1/invoices/{id}", self._invoice)
        app.router.add_get("/v1/refunds", self._refunds)
        app.router.add_post("/v1/customers", self._make_customer)
        app.router.add_get("/v1/payment_intents/{id}", self._payment_intent)
        app.router.add_get("/v1/charges/{id}", self._charge)
        app.router.add_delete("/v1/subscriptions/{id}", self._cancel)
        app.router.add_post("/v1/subscriptions/{id}", self._update)
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.headers.append(request.headers)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "invalid_request_error", f"Invalid API Key provided: {request.headers['Authorization']}")
        if self.failing:
            self.failing -= 1
            return _error(503, "api_error", "An unknown error occurred")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _make_session(self, request: web.Request) -> web.Response:
        raw, key = await request.text(), request.headers.get("Idempotency-Key")
        assert request.content_type == "application/x-www-form-urlencoded"
        if key in self._answers:
            said, answer = self._answers[key]
            if said != raw:
                return _error(400, "idempotency_error", "Keys for idempotent requests can only be used with the same")
            return web.Response(text=answer.text, content_type="application/json")
        params = unbracketed({name: str(value) for name, value in (await request.post()).items()})
        if (refused := self._refused(params)) is not None:
            return refused
        self.sessions.append(params)
        identifier = f"cs_test_{next(self._numbers)}"
        answer = web.json_response(
            {
                "id": identifier,
                "object": "checkout.session",
                "mode": params["mode"],
                "client_reference_id": params["client_reference_id"],
                "metadata": params["metadata"],
                "payment_status": "unpaid",
                "status": "open",
                "url": f"https://checkout.stripe.com/c/pay/{identifier}",
                "livemode": False,
            }
        )
        if key is not None:
            self._answers[key] = raw, answer
        return answer

    def _refused(self, params: dict[str, Any]) -> web.Response | None:
        """As Stripe refuses parameters of a session that exclude each other."""
        for other in ("customer_email", "customer_creation"):
            if "customer" in params and other in params:
                text = f"You may only specify one of these parameters: customer, {other}."
                return _error(400, "invalid_request_error", text)
        if "customer_creation" in params and params["mode"] != "payment":
            return _error(400, "invalid_request_error", "`customer_creation` can only be used in `payment` mode.")
        if "customer" in params and params["customer"] not in self.customers:
            return _missing("customer", params["customer"], 400)
        return None

    async def _make_customer(self, request: web.Request) -> web.Response:
        if self.without_customers:
            return _error(403, "invalid_request_error", "The provided key does not have the required permissions")
        raw, key = await request.text(), request.headers["Idempotency-Key"]
        if key in self._answers:
            said, answer = self._answers[key]
            assert said == raw
            return web.Response(text=answer.text, content_type="application/json")
        identifier = f"cus_{next(self._numbers)}"
        self.customers[identifier] = unbracketed({name: str(value) for name, value in (await request.post()).items()})
        answer = web.json_response({"id": identifier, "object": "customer"})
        self._answers[key] = raw, answer
        return answer

    async def _invoice_payments(self, request: web.Request) -> web.Response:
        if not self.may_read_invoices:
            return _error(403, "invalid_request_error", "The provided key does not have the required permissions")
        assert request.query["payment[type]"] == "payment_intent"
        invoice = self.invoices.get(request.query["payment[payment_intent]"])
        found = [] if invoice is None else [{"id": "inpay_1", "object": "invoice_payment", "invoice": invoice["id"]}]
        return web.json_response({"object": "list", "data": found, "has_more": False})

    async def _invoice(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        found = next((one for one in self.invoices.values() if one["id"] == identifier), None)
        return _missing("invoice", identifier) if found is None else web.json_response(found)

    async def _refunds(self, request: web.Request) -> web.Response:
        of_charge = [one for one in self.refunds if one["charge"] == request.query["charge"]]
        return web.json_response({"object": "list", "data": of_charge, "has_more": False})

    async def _payment_intent(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.payment_intents:
            return _missing("payment_intent", identifier)
        intent: dict[str, Any] = {"id": identifier, "object": "payment_intent"}
        if identifier in self.amounts:
            amount, currency = self.amounts[identifier]
            intent |= {"amount": amount, "amount_received": amount, "currency": currency}
        return web.json_response(intent | {"metadata": self.payment_intents[identifier]})

    async def _charge(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.charges:
            return _missing("charge", identifier)
        amount, currency = self.charges[identifier]
        line = {"id": "txn_charge", "object": "balance_transaction", "amount": amount, "currency": currency}
        expanded = "balance_transaction" in request.query.getall("expand[0]", [])
        settled = line if expanded else line["id"]
        return web.json_response({"id": identifier, "object": "charge", "balance_transaction": settled})

    async def _cancel(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.subscriptions:
            return _missing("subscription", identifier)
        self.subscriptions.remove(identifier)
        self.cancelled.append(identifier)
        return web.json_response({"id": identifier, "object": "subscription", "status": "canceled"})

    async def _update(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.subscriptions:
            return _missing("subscription", identifier)
        params = unbracketed({name: str(value) for name, value in (await request.post()).items()})
        self.updates.append((identifier, params))
        return web.json_response({"id": identifier, "object": "subscription", "status": "active"})


def unbracketed(flat: Mapping[str, str]) -> dict[str, Any]:
    """`line_items[0][price_data][currency]=usd` as nested dicts; a list's items stand under "0", "1", …"""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        first, *rest = re.findall(r"[^\[\]]+", name)
        at = nested
        for part, following in zip([first, *rest], rest, strict=False):
            del following
            at = at.setdefault(part, {})
        at[[first, *rest][-1]] = value
    return nested


def _missing(kind: str, identifier: str, status: int = 404) -> web.Response:
    return _error(status, "invalid_request_error", f"No such {kind}: '{identifier}'", "resource_missing")


def _error(status: int, kind: str, message: str, code: str | None = None) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message, "code": code}}, status=status)


@asynccontextmanager
async def open_stripe() -> AsyncIterator[StripeServer]:
    """A running server on a free port."""
    server = StripeServer()
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
