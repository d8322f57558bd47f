"""The whole HTTP surface on one screen: the router, the guards, `/openapi.json` and the tests all read this table."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import BaseModel

from gateway.api.access.member_roles import for_members
from gateway.api.access.roles import (
    ACCOUNT,
    ADMIN,
    ANY_KEY,
    CLIENT,
    CLIENT_OR_READER,
    CLIENT_OR_SUPPORT,
    CREDIT_CHANGERS,
    MONEY_CHANGERS,
    MONEY_READERS,
    OPERATORS,
    OWNER_OR_ADMIN,
    OWNER_OR_READER,
    OWNER_OR_SUPPORT,
    PUBLIC,
    READERS,
    WORKERS,
)
from gateway.api.access.sessions import has_credentials
from gateway.api.description.operations import LOGGED_READS, NAMES
from gateway.api.handlers import (
    accounts,
    alerts,
    audit_log,
    bulk,
    callbacks,
    cards,
    corrections,
    documentation,
    estimates,
    events,
    generations,
    health,
    keys,
    margin,
    members,
    metrics_site,
    ops,
    ops_generations,
    outputs,
    own_key,
    own_subscription,
    pauses,
    payment_events,
    payments,
    persons,
    purchases,
    quotes,
    receipts,
    search,
    series,
    sign_in,
    subscriptions,
    tokens,
    uploads,
    usage,
    webhook_tests,
    webhooks,
    worker_calls,
)
from gateway.api.handlers import credits as credits_  # the builtin of this name is Python's exit banner
from gateway.api.http.headers import JSON_LINES
from gateway.api.http.parse import FORM_TYPE
from gateway.api.http.route import Handler, Route
from gateway.api.middleware.guard import guarded
from gateway.schemas import accounts as account_schemas
from gateway.schemas import audit_log as audit_schemas
from gateway.schemas import base as base_schemas
from gateway.schemas import bulk as bulk_schemas
from gateway.schemas import cards as card_schemas
from gateway.schemas import credits as credit_schemas
from gateway.schemas import estimates as estimate_schemas
from gateway.schemas import generations as generation_schemas
from gateway.schemas import margin as margin_schemas
from gateway.schemas import members as member_schemas
from gateway.schemas import ops as operations_schemas
from gateway.schemas import ops_generations as ops_generation_schemas
from gateway.schemas import pauses as pause_schemas
from gateway.schemas import payments as payment_schemas
from gateway.schemas import persons as person_schemas
from gateway.schemas import prices as price_schemas
from gateway.schemas import purchases as purchase_schemas
from gateway.schemas import receipts as receipt_schemas
from gateway.schemas import search as search_schemas
from gateway.schemas import sessions as session_schemas
from gateway.schemas import tokens as token_schemas
from gateway.schemas import uploads as upload_schemas
from gateway.schemas import usage as usage_schemas
from gateway.schemas import webhooks as webhook_schemas
from gateway.schemas import worker_calls as worker_schemas

GENERATION = "/v1/generations/{generation}"
WEBHOOK = "/v1/webhooks/{webhook}"
MEMBER = "/v1/members/{member}"
ADMIN_ACCOUNT = "/v1/admin/accounts/{account}"
ADMIN_MEMBER = f"{ADMIN_ACCOUNT}/members/{{member}}"
ADMIN_GENERATION = "/v1/admin/generations/{generation}"
PAUSE = "/v1/ops/pauses/{kind}/{name}"
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

    Route("GET", "/v1/admin/accounts", accounts.find, READERS, account_schemas.AccountQuery, account_schemas.AccountOut,
          "Find an account by email", errors=("not_found",)),
    Route("GET", "/v1/admin/search", search.find, READERS, search_schemas.SearchQuery, search_schemas.SearchOut,
          "Find an account by its id or email, or by the id of a key, generation or checkout"),
    Route("PUT", ADMIN_ACCOUNT, accounts.put, ADMIN, account_schemas.AccountIn, account_schemas.AccountOut,
          "Create or update an account", 201),
    Route("GET", ADMIN_ACCOUNT, accounts.get, READERS, None, account_schemas.AccountOut,
          "Get an account with its balance, plan, keys, newest entries and generations"),
    Route("POST", f"{ADMIN_ACCOUNT}/keys", keys.create_for_account, ADMIN, account_schemas.KeyIn,
          account_schemas.KeyOut, "Create an API key for an account; it is shown once", 201, shown_once=("key",)),
    Route("GET", f"{ADMIN_ACCOUNT}/export", persons.export, ADMIN, None, None,
          "Export everything about an account as JSON lines", media=JSON_LINES, errors=("not_found",)),
    Route("DELETE", f"{ADMIN_ACCOUNT}/person", persons.erase, ADMIN, None, person_schemas.ErasureOut,
          "Erase an account's person: prompts, files, names, keys; call again until `done`",
          errors=("invalid_request", "store_unavailable")),
    Route("GET", f"{ADMIN_ACCOUNT}/keys", keys.listed, READERS, None, account_schemas.KeysOut,
          "List an account's API keys"),
    Route("PATCH", f"{ADMIN_ACCOUNT}/keys/{{key}}", keys.change_of_account, ADMIN, account_schemas.KeyChangeIn,
          account_schemas.KeyOut, "Change an API key's label, what it may spend or be used for"),
    Route("POST", f"{ADMIN_ACCOUNT}/keys/{{key}}/rotate", keys.rotate_of_account, ADMIN, account_schemas.KeyRotationIn,
          account_schemas.KeyOut, "Rotate an API key: its successor is shown once, and the old one expires", 201,
          shown_once=("key",)),
    Route("DELETE", f"{ADMIN_ACCOUNT}/keys/{{key}}", keys.revoke_of_account, ADMIN, None, account_schemas.Revoked,
          "Revoke an account's API key, effective at once"),
    Route("GET", f"{ADMIN_ACCOUNT}/members", members.listed, READERS, None, member_schemas.MembersOut,
          "List an account's members"),
    Route("POST", f"{ADMIN_ACCOUNT}/members", members.add, ADMIN, member_schemas.MemberIn, member_schemas.MemberOut,
          "Add a member to an account", 201),
    Route("PATCH", ADMIN_MEMBER, members.change, ADMIN, member_schemas.MemberChangeIn,
          member_schemas.MemberOut, "Change a member's name, email, role or limit"),
    Route("POST", f"{ADMIN_MEMBER}/owner", members.hand_over, ADMIN, None, member_schemas.MemberOut,
          "Make a member the account's owner; the owner becomes an admin", errors=("invalid_request",)),
    Route("POST", f"{ADMIN_MEMBER}/invitation", members.invite, ADMIN, None, session_schemas.InvitationOut,
          "Create an invitation: a link that signs a member in to the console, once within a week", 201,
          shown_once=("url",)),
    Route("DELETE", ADMIN_MEMBER, members.remove, ADMIN, None, member_schemas.MemberOut,
          "Remove a member; their keys are revoked at once", errors=("invalid_request",)),
    Route("POST", "/v1/admin/keys", keys.create_for_operator, ADMIN, account_schemas.OperatorKeyIn,
          account_schemas.KeyOut, "Create an operator's key; it is shown once", 201, shown_once=("key",)),
    Route("GET", "/v1/admin/keys", keys.listed_of_operators, ADMIN, None, account_schemas.KeysOut,
          "List operators' keys"),
    Route("DELETE", "/v1/admin/keys/{key}", keys.revoke_of_operator, ADMIN, None, account_schemas.Revoked,
          "Revoke an operator's key, effective at once"),
    Route("GET", "/v1/admin/audit-log", audit_log.listed, READERS, audit_schemas.AuditLogQuery,
          audit_schemas.AuditLogOut, "List what operators' keys changed, newest first"),
    Route("PUT", f"{ADMIN_ACCOUNT}/subscription", subscriptions.put, MONEY_CHANGERS,
          account_schemas.SubscriptionIn, account_schemas.AccountOut, "Start or renew a subscription"),
    Route("PATCH", f"{ADMIN_ACCOUNT}/subscription", subscriptions.change, MONEY_CHANGERS,
          account_schemas.SubscriptionChangeIn, account_schemas.AccountOut,
          "Change the plan or the interval, now or at the end of the paid period"),
    Route("DELETE", f"{ADMIN_ACCOUNT}/subscription", subscriptions.cancel, MONEY_CHANGERS, None,
          account_schemas.AccountOut, "Cancel a subscription at the end of the paid period",
          errors=("invalid_request",)),
    Route("POST", f"{ADMIN_ACCOUNT}/subscription/resume", subscriptions.resume, MONEY_CHANGERS, None,
          account_schemas.AccountOut, "Undo a cancellation or a scheduled change"),
    Route("POST", f"{ADMIN_ACCOUNT}/grants", accounts.grant, CREDIT_CHANGERS, account_schemas.GrantIn,
          account_schemas.GrantMade, "Grant credits", 201),
    Route("POST", f"{ADMIN_ACCOUNT}/adjustments", accounts.adjust, CREDIT_CHANGERS, account_schemas.AdjustmentIn,
          account_schemas.Adjusted, "Adjust a bucket, up or down", 201),
    Route("PUT", f"{ADMIN_ACCOUNT}/alerts", accounts.set_alerts, ADMIN, account_schemas.AlertsIn,
          account_schemas.AccountOut, "Set the thresholds of low-credit alerts"),
    Route("PUT", f"{ADMIN_ACCOUNT}/factors", accounts.set_factors, MONEY_CHANGERS, account_schemas.FactorsIn,
          account_schemas.AccountOut, "Set what an account pays of the prices on the rate card"),
    Route("PUT", f"{ADMIN_ACCOUNT}/pause", pauses.put_account, ADMIN, pause_schemas.PauseIn,
          account_schemas.AccountOut, "Pause an account: nothing new is accepted"),
    Route("DELETE", f"{ADMIN_ACCOUNT}/pause", pauses.end_account, ADMIN, None, account_schemas.AccountOut,
          "Resume an account"),
    Route("POST", f"{ADMIN_ACCOUNT}/clock", accounts.advance_clock, ADMIN, account_schemas.ClockIn,
          account_schemas.AccountOut, "Advance an account's clock (test mode)"),

    Route("POST", f"{ADMIN_GENERATION}/refund", corrections.refund, CREDIT_CHANGERS, bulk_schemas.ReasonIn,
          generation_schemas.GenerationOut, "Give back what a generation was charged, once"),
    Route("POST", f"{ADMIN_GENERATION}/retry", corrections.retry, ADMIN, bulk_schemas.ReasonIn,
          generation_schemas.GenerationOut, "Retry a failed generation, once: a new one that points back", 201),

    Route("GET", "/v1/ops/queues", ops.queues, OPERATORS, None, operations_schemas.QueuesOut,
          "Get queues and held credits"),
    Route("POST", "/v1/ops/audit", ops.ask_for_audit, ADMIN, None, operations_schemas.AuditAsked,
          "Ask for an audit of the ledger now", 202),
    Route("GET", "/v1/ops/scale/{tool}", ops.scale, OPERATORS, None, operations_schemas.ScaleOut,
          "Get how many workers a tool needs"),
    Route("GET", "/v1/ops/series", series.series, OPERATORS, operations_schemas.SeriesQuery,
          operations_schemas.SeriesOut, "Get queues and held credits over time"),
    Route("GET", "/v1/ops/margin", margin.get, MONEY_READERS, margin_schemas.MarginQuery, margin_schemas.MarginOut,
          "Get revenue, cost and margin by day, model, provider or bucket; CSV with `Accept: text/csv`",
          also_media=("text/csv",)),
    Route("GET", "/v1/ops/generations", ops_generations.listed, OPERATORS, ops_generation_schemas.OpsGenerationsQuery,
          ops_generation_schemas.OpsGenerationsOut,
          "List generations of all accounts: open ones, those that failed lately, or those charged for"),
    Route("POST", "/v1/ops/bulk/cancel", bulk.cancel, ADMIN, bulk_schemas.BulkIn, bulk_schemas.BulkOut,
          "Cancel all open generations that match a filter: first a dry run, then with its token"),
    Route("POST", "/v1/ops/bulk/retry", bulk.retry, ADMIN, bulk_schemas.BulkIn, bulk_schemas.BulkOut,
          "Retry all failed generations that match a filter: first a dry run, then with its token"),
    Route("POST", "/v1/ops/bulk/refund", bulk.refund, CREDIT_CHANGERS, bulk_schemas.BulkIn, bulk_schemas.BulkOut,
          "Give back what generations that match a filter were charged: first a dry run, then with its token"),
    Route("GET", "/v1/ops/pauses", pauses.listed, OPERATORS, None, pause_schemas.PausesOut,
          "List paused tools, models and providers"),
    Route("PUT", PAUSE, pauses.put, ADMIN, pause_schemas.PauseIn, pause_schemas.PauseOut,
          "Pause a tool, model or provider: nothing new is accepted", errors=("not_found",)),
    Route("DELETE", PAUSE, pauses.end, ADMIN, None, pause_schemas.Resumed, "Resume a tool, model or provider"),
    Route("GET", "/v1/ops/payment-events", payment_events.listed, OPERATORS, None, payment_schemas.PaymentEventsOut,
          "List payment events that could not be applied"),
    Route("POST", "/v1/ops/payment-events/{event}/retry", payment_events.retry, MONEY_CHANGERS, None,
          payment_schemas.PaymentEventRetried, "Retry a payment event"),
    Route("DELETE", "/v1/ops/payment-events/{event}", payment_events.drop, MONEY_CHANGERS, None,
          payment_schemas.PaymentEventDropped, "Drop a payment event"),
    Route("POST", "/v1/worker/calls/{call}", worker_calls.call, WORKERS, worker_schemas.WorkerCallIn,
          worker_schemas.WorkerCallOut, "Make a worker's call, such as `ledger.begin`",
          errors=("not_found", "queue_unavailable"), own_idempotency=True),
    Route("GET", "/v1/worker/checks", worker_calls.checks, WORKERS, None, None,
          "Stream the running generations that workers must check now", media=SSE,
          events={"check": worker_schemas.CheckOut}),
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
