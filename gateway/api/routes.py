"""The whole HTTP surface: the router, the guards, `/openapi.json` and the tests all read this table.

The operators' calls are in `operator_routes.py`; everybody else's are here.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import BaseModel

from gateway.api.access.member_roles import for_members
from gateway.api.access.roles import (
    ACCOUNT,
    ANY_KEY,
    CLIENT,
    CLIENT_OR_READER,
    CLIENT_OR_SUPPORT,
    OWNER_OR_ADMIN,
    OWNER_OR_READER,
    OWNER_OR_SUPPORT,
    PUBLIC,
    WORKERS,
)
from gateway.api.access.sessions import has_credentials
from gateway.api.description.operations import LOGGED_READS, NAMES
from gateway.api.handlers import (
    alerts,
    callbacks,
    cards,
    documentation,
    estimates,
    events,
    generations,
    health,
    keys,
    members,
    metrics_site,
    outputs,
    own_key,
    own_subscription,
    payments,
    purchases,
    quotes,
    receipts,
    sign_in,
    tokens,
    uploads,
    usage,
    webhook_tests,
    webhooks,
    worker_calls,
)
from gateway.api.handlers import credits as credits_  # the builtin of this name is Python's exit banner
from gateway.api.http.parse import FORM_TYPE
from gateway.api.http.route import Handler, Route
from gateway.api.middleware.guard import guarded
from gateway.api.operator_routes import OPERATOR_ROUTES
from gateway.schemas import accounts as account_schemas
from gateway.schemas import base as base_schemas
from gateway.schemas import cards as card_schemas
from gateway.schemas import credits as credit_schemas
from gateway.schemas import estimates as estimate_schemas
from gateway.schemas import generations as generation_schemas
from gateway.schemas import members as member_schemas
from gateway.schemas import ops as operations_schemas
from gateway.schemas import payments as payment_schemas
from gateway.schemas import prices as price_schemas
from gateway.schemas import purchases as purchase_schemas
from gateway.schemas import receipts as receipt_schemas
from gateway.schemas import sessions as session_schemas
from gateway.schemas import tokens as token_schemas
from gateway.schemas import uploads as upload_schemas
from gateway.schemas import usage as usage_schemas
from gateway.schemas import webhooks as webhook_schemas
from gateway.schemas import worker_calls as worker_schemas

GENERATION = "/v1/generations/{generation}"
WEBHOOK = "/v1/webhooks/{webhook}"
MEMBER = "/v1/members/{member}"
SSE = "text/event-stream"


_RESERVE_ERRORS = (
    "invalid_settings", "unknown_model", "quote_mismatch", "subscription_required", "plan_limit",
    "insufficient_credits", "limit_reached", "price_above_ceiling", "quote_expired", "waiting_room_full",
    "store_unavailable", "no_worker", "paused",
)  # fmt: skip
_GENERATION_EVENTS: dict[str, type[BaseModel]] = {
    "snapshot": generation_schemas.GenerationOut,
    "progress": generation_schemas.Progress,
    "output": generation_schemas.OutputEvent,
    "done": generation_schemas.GenerationOut,
}

# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/generations", generations.create, CLIENT, generation_schemas.GenerationIn,
          generation_schemas.GenerationOut, "Create a generation: price it, reserve its credits, queue it", 202,
          errors=_RESERVE_ERRORS, own_idempotency=True),
    Route("GET", "/v1/generations", generations.listed, OWNER_OR_READER, generation_schemas.GenerationsQuery,
          generation_schemas.GenerationsOut, "List generations, newest first", errors=("not_found",)),
    Route("GET", GENERATION, generations.get, CLIENT_OR_READER, None, generation_schemas.GenerationOut,
          "Get a generation: as it is, or once it has ended (`Prefer: wait`)", polled=True),
    Route("POST", f"{GENERATION}/cancel", generations.cancel, ACCOUNT, None, generation_schemas.GenerationOut,
          "Cancel a generation"),
    Route("GET", f"{GENERATION}/events", events.of_generation, CLIENT_OR_READER, None, None,
          "Stream a generation's events: snapshot, progress, output, done", media=SSE, events=_GENERATION_EVENTS),
    Route("GET", "/v1/events", events.of_caller, ANY_KEY, base_schemas.OfAccount, None,
          "Stream an account's generations and balance, or for operators the queues", media=SSE,
          events=_GENERATION_EVENTS | {"balance": credit_schemas.Balance, "queues": operations_schemas.QueuesOut}),
    Route("GET", f"{GENERATION}/outputs/{{index}}", outputs.get, CLIENT_OR_SUPPORT,
          generation_schemas.OutputQuery, None, "Download an output; Range requests are supported", media="*/*",
          errors=("range_not_satisfiable", "store_unavailable"),
          opened_by_signature=outputs.get_signed),
    Route("GET", f"{GENERATION}/receipt", receipts.get, OWNER_OR_READER, None, receipt_schemas.Receipt,
          "Get a generation's receipt"),
    Route("POST", "/v1/uploads", uploads.create, ACCOUNT, None, upload_schemas.UploadOut,
          "Upload an image, a video or audio to use as an input", 201, takes_bytes=uploads.TAKEN_TYPES,
          errors=("store_unavailable",), own_idempotency=True, looks_up_key=True),
    Route("POST", "/v1/quotes", quotes.create, CLIENT, generation_schemas.QuoteIn, price_schemas.QuoteOut,
          "Create a quote: a firm price for ten minutes", errors=("invalid_settings", "unknown_model")),
    Route("POST", "/v1/estimates", estimates.create, ANY_KEY, estimate_schemas.EstimateIn, estimate_schemas.EstimateOut,
          "Estimate a month's credits and the plan they need, from items or the last 30 days",
          errors=("invalid_settings", "unknown_model"), key_optional=True, looks_up_key=True),
    Route("GET", "/v1/balance", credits_.balance, OWNER_OR_READER, base_schemas.OfAccount, credit_schemas.Balance,
          "Get the balance"),
    Route("GET", "/v1/alerts", alerts.get, OWNER_OR_READER, base_schemas.OfAccount, credit_schemas.AlertsOut,
          "Get the low-credit alerts: their thresholds, and which are reached"),
    Route("PUT", "/v1/alerts", alerts.put, ACCOUNT, account_schemas.AlertsIn, credit_schemas.AlertsOut,
          "Set the thresholds of the account's low-credit alerts", looks_up_key=True),
    Route("GET", "/v1/key", own_key.get, ACCOUNT, None, account_schemas.OwnKeyOut,
          "Get the API key of this request: what it may do, and what it has spent"),
    Route("POST", "/v1/tokens", tokens.create, ACCOUNT, token_schemas.TokenIn, token_schemas.TokenOut,
          "Create a client token for a browser or a phone; it is shown once", 201, errors=("rate_limited",),
          shown_once=("token",), looks_up_key=True),
    Route("GET", "/v1/journal", credits_.journal, OWNER_OR_READER, credit_schemas.JournalQuery,
          credit_schemas.JournalOut, "List journal entries, newest first; CSV of all pages with `Accept: text/csv`",
          also_media=("text/csv",)),
    Route("GET", "/v1/usage", usage.get, OWNER_OR_READER, usage_schemas.UsageQuery, usage_schemas.UsageOut,
          "Get usage by day, tool, model, member, key or tag; CSV with `Accept: text/csv`",
          also_media=("text/csv",)),
    Route("POST", "/v1/sign-in-links", sign_in.make_link, ANY_KEY, None, session_schemas.SignInLinkOut,
          "Create a sign-in link for the console: one use, within an hour", 201, shown_once=("url",),
          looks_up_key=True),
    Route("GET", "/v1/rate-card", cards.rate_card, PUBLIC, None, card_schemas.RateCardOut, "Get the rate card"),
    Route("GET", "/v1/discounts", cards.discounts, OWNER_OR_READER, base_schemas.OfAccount, card_schemas.DiscountsOut,
          "Get what the account pays of the prices on the rate card, by model"),
    Route("GET", "/v1/plans", cards.plans, PUBLIC, None, card_schemas.PlansOut, "List plans"),
    Route("GET", "/v1/bundles", payments.bundles, PUBLIC, None, payment_schemas.BundlesOut, "List credit bundles"),
    Route("POST", "/v1/top-ups", payments.top_up, ACCOUNT, payment_schemas.TopUpIn, payment_schemas.CheckoutOut,
          "Start a checkout for a bundle of credits", 201, errors=("subscription_required", "payments_unavailable")),
    Route("POST", "/v1/subscriptions", payments.subscribe, ACCOUNT, payment_schemas.SubscriptionBuyIn,
          payment_schemas.CheckoutOut, "Start a checkout for a plan", 201, errors=("payments_unavailable",)),
    Route("GET", "/v1/purchases", purchases.listed, OWNER_OR_READER, purchase_schemas.PurchasesQuery,
          purchase_schemas.PurchasesOut, "List purchases, newest first"),
    Route("GET", "/v1/checkouts/{checkout}", purchases.get, OWNER_OR_READER, base_schemas.OfAccount,
          purchase_schemas.PurchaseOut, "Get a checkout"),
    Route("GET", "/v1/subscription", own_subscription.get, OWNER_OR_READER, base_schemas.OfAccount,
          purchase_schemas.SubscriptionOut, "Get the subscription: plan, renewal, scheduled change"),
    Route("PATCH", "/v1/subscription", own_subscription.change, ACCOUNT, payment_schemas.OwnChangeIn,
          credit_schemas.Balance, "Schedule a change of plan for the end of the paid period (test payments)",
          errors=("payments_unavailable",)),
    Route("DELETE", "/v1/subscription", own_subscription.cancel, ACCOUNT, None, credit_schemas.Balance,
          "Cancel the subscription at the end of the paid period",
          errors=("invalid_request", "payments_unavailable")),
    Route("POST", "/v1/subscription/resume", own_subscription.resume, ACCOUNT, None, credit_schemas.Balance,
          "Undo a cancellation or a scheduled change", errors=("payments_unavailable",)),
    Route("POST", "/v1/payments/stripe/webhook", payments.stripe_webhook, PUBLIC, None, None,
          "Receive a Stripe event",
          errors=("not_found", "ledger_unavailable", "payments_unavailable")),
    Route("POST", "/v1/callbacks/{provider}/{token}", callbacks.take, PUBLIC, None, None,
          "Receive a provider's callback",
          errors=("invalid_key", "ledger_unavailable", "queue_unavailable", "provider_unavailable")),
    Route("GET", "/checkout/{checkout}", payments.show, PUBLIC, payment_schemas.CheckoutQuery, None,
          "Show the test payment page",
          media="text/html", errors=("ledger_unavailable",)),
    Route("POST", "/checkout/{checkout}", payments.press, PUBLIC, payment_schemas.CheckoutForm, None,
          "Pay or decline a test purchase", 303, takes_media=FORM_TYPE,
          media="text/html", errors=("forbidden", "ledger_unavailable")),
    Route("POST", "/v1/webhooks", webhooks.create, OWNER_OR_ADMIN, webhook_schemas.WebhookIn,
          webhook_schemas.WebhookOut, "Create a webhook; its secret is shown once", 201, shown_once=("secret",),
                looks_up_key=True),
    Route("GET", "/v1/webhooks", webhooks.listed, OWNER_OR_SUPPORT, base_schemas.OfAccount, webhook_schemas.WebhooksOut,
          "List an account's webhooks, or with an admin key the operators'", looks_up_key=True),
    Route("GET", WEBHOOK, webhooks.get, OWNER_OR_SUPPORT, base_schemas.OfAccount, webhook_schemas.WebhookOut,
          "Get a webhook",
          looks_up_key=True),
    Route("PATCH", WEBHOOK, webhooks.change, OWNER_OR_ADMIN, webhook_schemas.WebhookChangeIn,
          webhook_schemas.WebhookOut, "Update, pause or resume a webhook", looks_up_key=True),
    Route("DELETE", WEBHOOK, webhooks.delete, OWNER_OR_ADMIN, None, webhook_schemas.Deleted,
          "Delete a webhook and its deliveries", looks_up_key=True),
    Route("POST", f"{WEBHOOK}/rotate", webhooks.rotate, OWNER_OR_ADMIN, None, webhook_schemas.WebhookOut,
          "Rotate a webhook's secret; the previous one stays valid for 24 hours",
          shown_once=("secret",), looks_up_key=True),
    Route("POST", f"{WEBHOOK}/test", webhook_tests.test, OWNER_OR_ADMIN, None, webhook_schemas.WebhookTestOut,
          "Send a signed test event to a webhook and return the receiver's answer",
          errors=("invalid_request", "rate_limited"), looks_up_key=True),
    Route("GET", f"{WEBHOOK}/deliveries", webhooks.deliveries, OWNER_OR_SUPPORT, webhook_schemas.DeliveriesQuery,
          webhook_schemas.DeliveriesOut, "List a webhook's deliveries, newest first", looks_up_key=True),
    Route("GET", f"{WEBHOOK}/deliveries/{{delivery}}/request", webhooks.delivery_request, OWNER_OR_ADMIN,
          base_schemas.OfAccount, webhook_schemas.DeliveryRequestOut, "Get a delivery's URL, headers and body",
          looks_up_key=True),
    Route("POST", f"{WEBHOOK}/deliveries/{{delivery}}/resend", webhooks.resend, OWNER_OR_ADMIN, None,
          webhook_schemas.DeliveryOut, "Resend a delivery", looks_up_key=True),

    Route("GET", "/v1/members", members.listed, ACCOUNT, None, member_schemas.MembersOut, "List the account's members"),
    Route("POST", "/v1/members", members.add, ACCOUNT, member_schemas.MemberIn, member_schemas.MemberOut,
          "Add a member", 201),
    Route("PATCH", MEMBER, members.change, ACCOUNT, member_schemas.MemberChangeIn, member_schemas.MemberOut,
          "Change a member's name, email, role or limit"),
    Route("POST", f"{MEMBER}/owner", members.hand_over, ACCOUNT, None, member_schemas.MemberOut,
          "Hand ownership over to a member, and become an admin", errors=("invalid_request",)),
    Route("POST", f"{MEMBER}/invitation", members.invite, ACCOUNT, None, session_schemas.InvitationOut,
          "Create an invitation: a link that signs a member in to the console, once within a week", 201,
          shown_once=("url",)),
    Route("DELETE", MEMBER, members.remove, ACCOUNT, None, member_schemas.MemberOut,
          "Remove a member; their keys are revoked at once", errors=("invalid_request",)),
    Route("GET", "/v1/keys", keys.listed, ACCOUNT, None, account_schemas.KeysOut, "List the account's API keys"),
    Route("POST", "/v1/keys", keys.create_for_account, ACCOUNT, account_schemas.KeyIn, account_schemas.KeyOut,
          "Create an API key, of the account or a member; it is shown once", 201, shown_once=("key",)),
    Route("PATCH", "/v1/keys/{key}", keys.change_of_account, ACCOUNT, account_schemas.KeyChangeIn,
          account_schemas.KeyOut, "Change an API key's label, what it may spend or be used for"),
    Route("POST", "/v1/keys/{key}/rotate", keys.rotate_of_account, ACCOUNT, account_schemas.KeyRotationIn,
          account_schemas.KeyOut, "Rotate an API key: its successor is shown once, and the old one expires", 201,
          shown_once=("key",)),
    Route("DELETE", "/v1/keys/{key}", keys.revoke_of_account, ACCOUNT, None, account_schemas.Revoked,
          "Revoke an API key, effective at once"),

    *OPERATOR_ROUTES,

    Route("POST", "/v1/worker/calls/{call}", worker_calls.call, WORKERS, worker_schemas.WorkerCallIn,
          worker_schemas.WorkerCallOut, "Make a worker's call, such as `ledger.begin`",
          errors=("not_found", "queue_unavailable"), own_idempotency=True),
    Route("GET", "/v1/worker/checks", worker_calls.checks, WORKERS, None, None,
          "Stream the running generations that workers must check now", media=SSE),
    Route("PUT", "/v1/worker/objects/{object}", worker_calls.put_object, WORKERS, None, worker_schemas.WorkerObjectOut,
          "Store an output of a worker's", takes_bytes=("application/octet-stream",),
          errors=("not_found", "store_unavailable"), own_idempotency=True),
    Route("GET", "/v1/worker/objects/{object}", worker_calls.get_object, WORKERS, None, None,
          "Get an input for a worker", media="*/*", errors=("not_found", "store_unavailable")),
    Route("GET", "/healthz", health.healthz, PUBLIC, None, operations_schemas.Health, "Liveness check"),
    Route("GET", "/readyz", health.readyz, PUBLIC, None, operations_schemas.Readiness, "Readiness check"),
    Route("GET", "/metrics", metrics_site.metrics, PUBLIC, None, None, "Prometheus metrics", media="text/plain",
          errors=("invalid_key", "rate_limited", "not_found")),
    Route("GET", "/openapi.json", documentation.openapi, PUBLIC, None, None, "Get the OpenAPI description"),
    Route("GET", "/docs", documentation.docs, PUBLIC, None, None, "API reference page", media="text/html"),
)
# fmt: on


def mount(app: web.Application, routes: Sequence[Route] = ROUTES) -> None:
    """Add every route with its guards to the router."""
    for route in routes:
        handler = _behind_guards(route)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET" and route.media != SSE:
            app.router.add_route("HEAD", route.path, handler)


def _behind_guards(route: Route) -> Handler:
    if not route.scopes:
        return route.handler
    behind = guarded(
        route.handler,
        route.scopes,
        own_idempotency=route.own_idempotency,
        shown_once=route.shown_once,
        looks_up_key=route.looks_up_key,
        rate_wait=route.rate_wait,
        polled=route.polled,
        for_members=for_members(route.method, route.named_path) if route.scopes & ACCOUNT else None,
        logged_read=NAMES.get((route.method, route.path)) in LOGGED_READS,
    )
    if route.key_optional:

        async def with_or_without_key(request: web.Request) -> web.StreamResponse:
            return await (behind(request) if has_credentials(request) else route.handler(request))

        return with_or_without_key
    opened = route.opened_by_signature
    if opened is None:
        return behind

    async def signed_or_guarded(request: web.Request) -> web.StreamResponse:
        return await (opened(request) if outputs.is_signed(request) else behind(request))

    return signed_or_guarded
