"""The whole HTTP surface on one screen: the router, the guards, `/openapi.json` and the tests all read this table."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import BaseModel

from gateway.api.access.sessions import has_credentials
from gateway.api.handlers import (
    accounts,
    callbacks,
    cards,
    documentation,
    estimates,
    events,
    generations,
    health,
    keys,
    metrics_site,
    ops,
    outputs,
    own_subscription,
    payment_events,
    payments,
    purchases,
    quotes,
    receipts,
    series,
    sign_in,
    subscriptions,
    uploads,
    usage,
    webhook_tests,
    webhooks,
)
from gateway.api.handlers import credits as credits_  # the builtin of this name is Python's exit banner
from gateway.api.http.parse import FORM_TYPE
from gateway.api.http.route import Handler, Route
from gateway.api.middleware.guard import guarded
from gateway.domain import Scope
from gateway.schemas import accounts as sa
from gateway.schemas import base as sb
from gateway.schemas import cards as sr
from gateway.schemas import credits as sc
from gateway.schemas import estimates as se
from gateway.schemas import generations as sg
from gateway.schemas import ops as so
from gateway.schemas import payments as sp
from gateway.schemas import purchases as sq
from gateway.schemas import sessions as ss
from gateway.schemas import uploads as sl
from gateway.schemas import usage as su
from gateway.schemas import webhooks as sw

ACCOUNT = frozenset({Scope.ACCOUNT})
ADMIN = frozenset({Scope.ADMIN})
OWNER_OR_ADMIN = frozenset({Scope.ACCOUNT, Scope.ADMIN})
OPERATORS = frozenset({Scope.OPS, Scope.ADMIN})
ANY_KEY = frozenset(Scope)
PUBLIC: frozenset[Scope] = frozenset()

GENERATION = "/v1/generations/{generation}"
WEBHOOK = "/v1/webhooks/{webhook}"
ADMIN_ACCOUNT = "/v1/admin/accounts/{account}"
SSE = "text/event-stream"


_RESERVE_ERRORS = (
    "invalid_settings", "unknown_model", "quote_mismatch", "subscription_required", "plan_limit",
    "insufficient_credits", "price_above_ceiling", "quote_expired", "waiting_room_full",
    "store_unavailable", "no_worker",
)  # fmt: skip
_GENERATION_EVENTS: dict[str, type[BaseModel]] = {
    "snapshot": sg.GenerationOut,
    "progress": sg.Progress,
    "output": sg.OutputEvent,
    "done": sg.GenerationOut,
}

# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/generations", generations.create, ACCOUNT, sg.GenerationIn, sg.GenerationOut,
          "Create a generation: price it, reserve its credits, queue it", 202,
          errors=_RESERVE_ERRORS, own_idempotency=True),
    Route("GET", "/v1/generations", generations.listed, OWNER_OR_ADMIN, sg.GenerationsQuery, sg.GenerationsOut,
          "List generations, newest first", errors=("not_found",)),
    Route("GET", GENERATION, generations.get, OWNER_OR_ADMIN, None, sg.GenerationOut, "Get a generation"),
    Route("POST", f"{GENERATION}/cancel", generations.cancel, ACCOUNT, None, sg.GenerationOut, "Cancel a generation"),
    Route("GET", f"{GENERATION}/events", events.of_generation, OWNER_OR_ADMIN, None, None,
          "Stream a generation's events: snapshot, progress, output, done", media=SSE, events=_GENERATION_EVENTS),
    Route("GET", "/v1/events", events.of_caller, ANY_KEY, sb.OfAccount, None,
          "Stream an account's generations and balance, or with an ops key the queues", media=SSE,
          events=_GENERATION_EVENTS | {"balance": sc.Balance, "queues": so.QueuesOut}),
    Route("GET", f"{GENERATION}/outputs/{{index}}", outputs.get, OWNER_OR_ADMIN, sg.OutputQuery, None,
          "Download an output; Range requests are supported", media="*/*",
          errors=("range_not_satisfiable", "store_unavailable"),
          opened_by_signature=True),
    Route("GET", f"{GENERATION}/receipt", receipts.get, OWNER_OR_ADMIN, None, sg.Receipt,
          "Get a generation's receipt"),
    Route("POST", "/v1/uploads", uploads.create, ACCOUNT, None, sl.UploadOut,
          "Upload an image or a video to use as an input", 201, takes_bytes=uploads.TAKEN_TYPES,
          errors=("store_unavailable",), own_idempotency=True, looks_up_key=True),
    Route("POST", "/v1/quotes", quotes.create, ACCOUNT, sg.QuoteIn, sg.QuoteOut,
          "Create a quote: a firm price for ten minutes", errors=("invalid_settings", "unknown_model")),
    Route("POST", "/v1/estimates", estimates.create, ANY_KEY, se.EstimateIn, se.EstimateOut,
          "Estimate a month's credits and the plan they need, from items or the last 30 days",
          errors=("invalid_settings", "unknown_model"), key_optional=True, looks_up_key=True),
    Route("GET", "/v1/balance", credits_.balance, OWNER_OR_ADMIN, sb.OfAccount, sc.Balance, "Get the balance"),
    Route("GET", "/v1/journal", credits_.journal, OWNER_OR_ADMIN, sc.JournalQuery, sc.JournalOut,
          "List journal entries, newest first"),
    Route("GET", "/v1/usage", usage.get, OWNER_OR_ADMIN, su.UsageQuery, su.UsageOut,
          "Get usage by day, tool and model; CSV with `Accept: text/csv`",
          also_media=("text/csv",)),
    Route("POST", "/v1/sign-in-links", sign_in.make_link, ANY_KEY, None, ss.SignInLinkOut,
          "Create a sign-in link for the console: one use, within an hour", 201, shown_once=("url",),
          looks_up_key=True),
    Route("GET", "/v1/rate-card", cards.rate_card, PUBLIC, None, sr.RateCardOut, "Get the rate card"),
    Route("GET", "/v1/plans", cards.plans, PUBLIC, None, sr.PlansOut, "List plans"),
    Route("GET", "/v1/bundles", payments.bundles, PUBLIC, None, sp.BundlesOut, "List credit bundles"),
    Route("POST", "/v1/top-ups", payments.top_up, ACCOUNT, sp.TopUpIn, sp.CheckoutOut,
          "Start a checkout for a bundle of credits", 201, errors=("subscription_required", "payments_unavailable")),
    Route("POST", "/v1/subscriptions", payments.subscribe, ACCOUNT, sp.SubscriptionBuyIn, sp.CheckoutOut,
          "Start a checkout for a plan", 201, errors=("payments_unavailable",)),
    Route("GET", "/v1/purchases", purchases.listed, OWNER_OR_ADMIN, sq.PurchasesQuery, sq.PurchasesOut,
          "List purchases, newest first"),
    Route("GET", "/v1/checkouts/{checkout}", purchases.get, OWNER_OR_ADMIN, sb.OfAccount, sq.PurchaseOut,
          "Get a checkout"),
    Route("GET", "/v1/subscription", own_subscription.get, OWNER_OR_ADMIN, sb.OfAccount, sq.SubscriptionOut,
          "Get the subscription: plan, renewal, scheduled change"),
    Route("PATCH", "/v1/subscription", own_subscription.change, ACCOUNT, sp.OwnChangeIn, sc.Balance,
          "Schedule a change of plan for the end of the paid period (test payments)",
          errors=("payments_unavailable",)),
    Route("DELETE", "/v1/subscription", own_subscription.cancel, ACCOUNT, None, sc.Balance,
          "Cancel the subscription at the end of the paid period",
          errors=("invalid_request", "payments_unavailable")),
    Route("POST", "/v1/subscription/resume", own_subscription.resume, ACCOUNT, None, sc.Balance,
          "Undo a cancellation or a scheduled change", errors=("payments_unavailable",)),
    Route("POST", "/v1/payments/stripe/webhook", payments.stripe_webhook, PUBLIC, None, None,
          "Receive a Stripe event",
          errors=("not_found", "ledger_unavailable", "payments_unavailable")),
    Route("POST", "/v1/callbacks/{provider}/{token}", callbacks.take, PUBLIC, None, None,
          "Receive a provider's callback",
          errors=("invalid_key", "ledger_unavailable", "queue_unavailable", "provider_unavailable")),
    Route("GET", "/checkout/{checkout}", payments.show, PUBLIC, sp.CheckoutQuery, None, "Show the test payment page",
          media="text/html", errors=("ledger_unavailable",)),
    Route("POST", "/checkout/{checkout}", payments.press, PUBLIC, sp.CheckoutForm, None,
          "Pay or decline a test purchase", 303, takes_media=FORM_TYPE,
          media="text/html", errors=("forbidden", "ledger_unavailable")),
    Route("POST", "/v1/webhooks", webhooks.create, OWNER_OR_ADMIN, sw.WebhookIn, sw.WebhookOut,
          "Create a webhook; its secret is shown once", 201, shown_once=("secret",), looks_up_key=True),
    Route("GET", "/v1/webhooks", webhooks.listed, OWNER_OR_ADMIN, sb.OfAccount, sw.WebhooksOut,
          "List an account's webhooks, or with an admin key the operators'", looks_up_key=True),
    Route("GET", WEBHOOK, webhooks.get, OWNER_OR_ADMIN, sb.OfAccount, sw.WebhookOut, "Get a webhook",
          looks_up_key=True),
    Route("PATCH", WEBHOOK, webhooks.change, OWNER_OR_ADMIN, sw.WebhookChangeIn, sw.WebhookOut,
          "Update, pause or resume a webhook", looks_up_key=True),
    Route("DELETE", WEBHOOK, webhooks.delete, OWNER_OR_ADMIN, None, sw.Deleted,
          "Delete a webhook and its deliveries", looks_up_key=True),
    Route("POST", f"{WEBHOOK}/rotate", webhooks.rotate, OWNER_OR_ADMIN, None, sw.WebhookOut,
          "Rotate a webhook's secret; the previous one stays valid for 24 hours",
          shown_once=("secret",), looks_up_key=True),
    Route("POST", f"{WEBHOOK}/test", webhook_tests.test, OWNER_OR_ADMIN, None, sw.WebhookTestOut,
          "Send a signed test event to a webhook and return the receiver's answer",
          errors=("invalid_request", "rate_limited"), looks_up_key=True),
    Route("GET", f"{WEBHOOK}/deliveries", webhooks.deliveries, OWNER_OR_ADMIN, sw.DeliveriesQuery, sw.DeliveriesOut,
          "List a webhook's deliveries, newest first", looks_up_key=True),
    Route("POST", f"{WEBHOOK}/deliveries/{{delivery}}/resend", webhooks.resend, OWNER_OR_ADMIN, None, sw.DeliveryOut,
          "Resend a delivery", looks_up_key=True),

    Route("GET", "/v1/admin/accounts", accounts.find, ADMIN, sa.AccountQuery, sa.AccountOut,
          "Find an account by email", errors=("not_found",)),
    Route("PUT", ADMIN_ACCOUNT, accounts.put, ADMIN, sa.AccountIn, sa.AccountOut, "Create or update an account", 201),
    Route("GET", ADMIN_ACCOUNT, accounts.get, ADMIN, None, sa.AccountOut,
          "Get an account, with all that support needs"),
    Route("POST", f"{ADMIN_ACCOUNT}/keys", keys.create_for_account, ADMIN, sa.KeyIn, sa.KeyOut,
          "Create an API key for an account; it is shown once", 201, shown_once=("key",)),
    Route("GET", f"{ADMIN_ACCOUNT}/keys", keys.listed, ADMIN, None, sa.KeysOut, "List an account's API keys"),
    Route("DELETE", f"{ADMIN_ACCOUNT}/keys/{{key}}", keys.revoke_of_account, ADMIN, None, sa.Revoked,
          "Revoke an account's API key, effective at once"),
    Route("POST", "/v1/admin/keys", keys.create_for_operator, ADMIN, sa.OperatorKeyIn, sa.KeyOut,
          "Create an admin or ops key; it is shown once", 201, shown_once=("key",)),
    Route("GET", "/v1/admin/keys", keys.listed_of_operators, ADMIN, None, sa.KeysOut, "List admin and ops keys"),
    Route("DELETE", "/v1/admin/keys/{key}", keys.revoke_of_operator, ADMIN, None, sa.Revoked,
          "Revoke an admin or ops key, effective at once"),
    Route("PUT", f"{ADMIN_ACCOUNT}/subscription", subscriptions.put, ADMIN, sa.SubscriptionIn, sa.AccountOut,
          "Start or renew a subscription"),
    Route("PATCH", f"{ADMIN_ACCOUNT}/subscription", subscriptions.change, ADMIN, sa.SubscriptionChangeIn,
          sa.AccountOut, "Change the plan or the interval, now or at the end of the paid period"),
    Route("DELETE", f"{ADMIN_ACCOUNT}/subscription", subscriptions.cancel, ADMIN, None, sa.AccountOut,
          "Cancel a subscription at the end of the paid period", errors=("invalid_request",)),
    Route("POST", f"{ADMIN_ACCOUNT}/subscription/resume", subscriptions.resume, ADMIN, None, sa.AccountOut,
          "Undo a cancellation or a scheduled change"),
    Route("POST", f"{ADMIN_ACCOUNT}/grants", accounts.grant, ADMIN, sa.GrantIn, sa.GrantMade, "Grant credits", 201),
    Route("POST", f"{ADMIN_ACCOUNT}/adjustments", accounts.adjust, ADMIN, sa.AdjustmentIn, sa.Adjusted,
          "Adjust a bucket, up or down", 201),
    Route("PUT", f"{ADMIN_ACCOUNT}/alerts", accounts.set_alerts, ADMIN, sa.AlertsIn, sa.AccountOut,
          "Set the thresholds of low-credit alerts"),
    Route("POST", f"{ADMIN_ACCOUNT}/clock", accounts.advance_clock, ADMIN, sa.ClockIn, sa.AccountOut,
          "Advance an account's clock (test mode)"),

    Route("GET", "/v1/ops/queues", ops.queues, OPERATORS, None, so.QueuesOut, "Get queues and held credits"),
    Route("GET", "/v1/ops/series", series.series, OPERATORS, so.SeriesQuery, so.SeriesOut,
          "Get queues and held credits over time"),
    Route("GET", "/v1/ops/payment-events", payment_events.listed, OPERATORS, None, sp.PaymentEventsOut,
          "List payment events that could not be applied"),
    Route("POST", "/v1/ops/payment-events/{event}/retry", payment_events.retry, ADMIN, None, sp.PaymentEventRetried,
          "Retry a payment event"),
    Route("DELETE", "/v1/ops/payment-events/{event}", payment_events.drop, ADMIN, None, sp.PaymentEventDropped,
          "Drop a payment event"),
    Route("GET", "/healthz", health.healthz, PUBLIC, None, so.Health, "Liveness check"),
    Route("GET", "/readyz", health.readyz, PUBLIC, None, so.Readiness, "Readiness check"),
    Route("GET", "/metrics", metrics_site.metrics, PUBLIC, None, None, "Prometheus metrics", media="text/plain",
          errors=("invalid_key", "rate_limited", "not_found")),
    Route("GET", "/openapi.json", documentation.openapi, PUBLIC, None, None, "Get the OpenAPI description"),
    Route("GET", "/docs", documentation.docs, PUBLIC, None, None, "API reference page", media="text/html"),
)
# fmt: on


def mount(app: web.Application, routes: Sequence[Route] = ROUTES) -> None:
    """Put every route behind its guards into the router."""
    for route in routes:
        app.router.add_route(route.method, route.path, _behind_guards(route))
        if route.method == "GET" and route.media != SSE:
            app.router.add_route("HEAD", route.path, _behind_guards(route))


def _behind_guards(route: Route) -> Handler:
    if not route.scopes:
        return route.handler
    behind = guarded(
        route.handler,
        route.scopes,
        own_idempotency=route.own_idempotency,
        shown_once=route.shown_once,
        looks_up_key=route.looks_up_key,
    )
    if route.key_optional:

        async def with_or_without_key(request: web.Request) -> web.StreamResponse:
            return await (behind(request) if has_credentials(request) else route.handler(request))

        return with_or_without_key
    if not route.opened_by_signature:
        return behind

    async def signed_or_guarded(request: web.Request) -> web.StreamResponse:
        return await (outputs.get_signed(request) if outputs.is_signed(request) else behind(request))

    return signed_or_guarded
