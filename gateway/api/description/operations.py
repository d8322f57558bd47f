"""What the description adds to the table of routes: each call's name, an example of its body, and tags.

Generated clients turn a name into a method (`create_generation()`, `createGeneration()`), so it must not change when a
handler moves. `tests/api/test_description.py` rejects a route without one.
"""

from __future__ import annotations

from typing import Any

Call = tuple[str, str]
"""Method and path."""

NAMES: dict[Call, str] = {
    ("POST", "/v1/generations"): "createGeneration",
    ("GET", "/v1/generations"): "listGenerations",
    ("GET", "/v1/generations/{generation}"): "getGeneration",
    ("POST", "/v1/generations/{generation}/cancel"): "cancelGeneration",
    ("GET", "/v1/generations/{generation}/events"): "streamGeneration",
    ("GET", "/v1/events"): "streamEvents",
    ("GET", "/v1/generations/{generation}/outputs/{index}"): "getOutput",
    ("GET", "/v1/generations/{generation}/receipt"): "getReceipt",
    ("POST", "/v1/uploads"): "createUpload",
    ("POST", "/v1/quotes"): "createQuote",
    ("POST", "/v1/estimates"): "createEstimate",
    ("GET", "/v1/balance"): "getBalance",
    ("GET", "/v1/alerts"): "getAlerts",
    ("PUT", "/v1/alerts"): "changeAlerts",
    ("GET", "/v1/key"): "getOwnKey",
    ("POST", "/v1/tokens"): "createToken",
    ("GET", "/v1/journal"): "listJournal",
    ("GET", "/v1/usage"): "getUsage",
    ("POST", "/v1/sign-in-links"): "createSignInLink",
    ("GET", "/v1/rate-card"): "getRateCard",
    ("GET", "/v1/discounts"): "getDiscounts",
    ("GET", "/v1/plans"): "listPlans",
    ("GET", "/v1/bundles"): "listBundles",
    ("POST", "/v1/top-ups"): "createTopUp",
    ("POST", "/v1/subscriptions"): "createSubscription",
    ("GET", "/v1/purchases"): "listPurchases",
    ("GET", "/v1/checkouts/{checkout}"): "getCheckout",
    ("GET", "/v1/subscription"): "getSubscription",
    ("PATCH", "/v1/subscription"): "changeSubscription",
    ("DELETE", "/v1/subscription"): "cancelSubscription",
    ("POST", "/v1/subscription/resume"): "resumeSubscription",
    ("POST", "/v1/payments/stripe/webhook"): "receiveStripeEvent",
    ("POST", "/v1/callbacks/{provider}/{token}"): "receiveProviderCallback",
    ("GET", "/checkout/{checkout}"): "showCheckout",
    ("POST", "/checkout/{checkout}"): "answerCheckout",
    ("POST", "/v1/webhooks"): "createWebhook",
    ("GET", "/v1/webhooks"): "listWebhooks",
    ("GET", "/v1/webhooks/{webhook}"): "getWebhook",
    ("PATCH", "/v1/webhooks/{webhook}"): "updateWebhook",
    ("DELETE", "/v1/webhooks/{webhook}"): "deleteWebhook",
    ("POST", "/v1/webhooks/{webhook}/rotate"): "rotateWebhookSecret",
    ("POST", "/v1/webhooks/{webhook}/test"): "testWebhook",
    ("GET", "/v1/webhooks/{webhook}/deliveries"): "listDeliveries",
    ("GET", "/v1/webhooks/{webhook}/deliveries/{delivery}/request"): "getDeliveryRequest",
    ("POST", "/v1/webhooks/{webhook}/deliveries/{delivery}/resend"): "resendDelivery",
    ("GET", "/v1/members"): "listMembers",
    ("POST", "/v1/members"): "addMember",
    ("PATCH", "/v1/members/{member}"): "changeMember",
    ("POST", "/v1/members/{member}/owner"): "handOver",
    ("POST", "/v1/members/{member}/invitation"): "inviteMember",
    ("DELETE", "/v1/members/{member}"): "removeMember",
    ("GET", "/v1/keys"): "listKeys",
    ("POST", "/v1/keys"): "createKey",
    ("PATCH", "/v1/keys/{key}"): "changeKey",
    ("POST", "/v1/keys/{key}/rotate"): "rotateKey",
    ("DELETE", "/v1/keys/{key}"): "revokeKey",
    ("GET", "/v1/admin/accounts"): "findAccount",
    ("GET", "/v1/admin/search"): "search",
    ("PUT", "/v1/admin/accounts/{account}"): "putAccount",
    ("GET", "/v1/admin/accounts/{account}"): "getAccount",
    ("POST", "/v1/admin/accounts/{account}/keys"): "createAccountKey",
    ("GET", "/v1/admin/accounts/{account}/export"): "exportAccount",
    ("DELETE", "/v1/admin/accounts/{account}/person"): "erasePerson",
    ("GET", "/v1/admin/accounts/{account}/keys"): "listAccountKeys",
    ("PATCH", "/v1/admin/accounts/{account}/keys/{key}"): "changeAccountKey",
    ("POST", "/v1/admin/accounts/{account}/keys/{key}/rotate"): "rotateAccountKey",
    ("DELETE", "/v1/admin/accounts/{account}/keys/{key}"): "revokeAccountKey",
    ("GET", "/v1/admin/accounts/{account}/members"): "listAccountMembers",
    ("POST", "/v1/admin/accounts/{account}/members"): "addAccountMember",
    ("PATCH", "/v1/admin/accounts/{account}/members/{member}"): "changeAccountMember",
    ("POST", "/v1/admin/accounts/{account}/members/{member}/owner"): "handAccountOver",
    ("POST", "/v1/admin/accounts/{account}/members/{member}/invitation"): "inviteAccountMember",
    ("DELETE", "/v1/admin/accounts/{account}/members/{member}"): "removeAccountMember",
    ("POST", "/v1/admin/keys"): "createOperatorKey",
    ("GET", "/v1/admin/keys"): "listOperatorKeys",
    ("DELETE", "/v1/admin/keys/{key}"): "revokeOperatorKey",
    ("GET", "/v1/admin/audit-log"): "listAuditLog",
    ("PUT", "/v1/admin/accounts/{account}/subscription"): "putAccountSubscription",
    ("PATCH", "/v1/admin/accounts/{account}/subscription"): "changeAccountSubscription",
    ("DELETE", "/v1/admin/accounts/{account}/subscription"): "cancelAccountSubscription",
    ("POST", "/v1/admin/accounts/{account}/subscription/resume"): "resumeAccountSubscription",
    ("POST", "/v1/admin/accounts/{account}/grants"): "grantCredits",
    ("POST", "/v1/admin/accounts/{account}/adjustments"): "adjustCredits",
    ("PUT", "/v1/admin/accounts/{account}/alerts"): "setAlerts",
    ("PUT", "/v1/admin/accounts/{account}/factors"): "setFactors",
    ("PUT", "/v1/admin/accounts/{account}/pause"): "pauseAccount",
    ("DELETE", "/v1/admin/accounts/{account}/pause"): "resumeAccount",
    ("POST", "/v1/admin/accounts/{account}/clock"): "advanceClock",
    ("POST", "/v1/admin/generations/{generation}/refund"): "refundGeneration",
    ("POST", "/v1/admin/generations/{generation}/retry"): "retryGeneration",
    ("GET", "/v1/ops/queues"): "getQueues",
    ("POST", "/v1/ops/audit"): "askForAudit",
    ("GET", "/v1/ops/scale/{tool}"): "getScale",
    ("GET", "/v1/ops/series"): "getSeries",
    ("GET", "/v1/ops/margin"): "getMargin",
    ("GET", "/v1/ops/generations"): "listOpsGenerations",
    ("POST", "/v1/ops/bulk/cancel"): "cancelGenerations",
    ("POST", "/v1/ops/bulk/retry"): "retryGenerations",
    ("POST", "/v1/ops/bulk/refund"): "refundGenerations",
    ("GET", "/v1/ops/pauses"): "listPauses",
    ("PUT", "/v1/ops/pauses/{kind}/{name}"): "pause",
    ("DELETE", "/v1/ops/pauses/{kind}/{name}"): "resume",
    ("GET", "/v1/ops/payment-events"): "listPaymentEvents",
    ("POST", "/v1/ops/payment-events/{event}/retry"): "retryPaymentEvent",
    ("DELETE", "/v1/ops/payment-events/{event}"): "dropPaymentEvent",
    ("POST", "/v1/worker/calls/{call}"): "callAsWorker",
    ("GET", "/v1/worker/checks"): "streamChecks",
    ("PUT", "/v1/worker/objects/{object}"): "putObject",
    ("GET", "/v1/worker/objects/{object}"): "getObject",
    ("GET", "/healthz"): "getHealth",
    ("GET", "/readyz"): "getReadiness",
    ("GET", "/metrics"): "getMetrics",
    ("GET", "/openapi.json"): "getDescription",
    ("GET", "/docs"): "getDocs",
}

CHANGES_NOTHING = frozenset({"createEstimate"})
"""Calls that only calculate, though they are not a GET."""

NOT_LOGGED = CHANGES_NOTHING | {"callAsWorker", "putObject"}
"""The only ones of operators that are not in the audit log; the journal says what workers did."""

LOGGED_READS = frozenset({"exportAccount"})
"""Reads of operators that are in the audit log: they take everything of a person along."""

TAGS: dict[str, str] = {
    "generations": "Create images, videos, audio and text, follow their progress, download the outputs.",
    "events": "Live events of an account's generations and balance.",
    "uploads": "Upload images, videos and audio to use as inputs.",
    "quotes": "Firm prices for single requests.",
    "estimates": "Estimate a month's cost.",
    "balance": "An account's available and held credits.",
    "alerts": "When it is reported that an account's credits run low.",
    "key": "What the API key of the request may do, and what it has spent.",
    "members": "The people of an account. Changed by its admins and its owner.",
    "keys": "The API keys of an account and its members. Changed by its admins and its owner.",
    "tokens": "Short-lived tokens for browsers and phones.",
    "journal": "Every credit movement of an account.",
    "usage": "Generations and credits by day, tool, model, member, key and tag.",
    "sign-in-links": "Sign-in links for the console.",
    "rate-card": "Models, settings and prices.",
    "discounts": "What an account pays of the prices on the rate card.",
    "plans": "Plans on sale.",
    "bundles": "Top-up bundles on sale.",
    "top-ups": "Buy credits.",
    "subscriptions": "Buy a plan.",
    "subscription": "The account's own plan.",
    "purchases": "An account's purchases.",
    "checkouts": "The state of a checkout.",
    "payments": "Called by the payment provider.",
    "callbacks": "Called by model providers when a job has ended.",
    "webhooks": "Receive events at a URL of your own.",
    "admin": "Accounts, keys, plans and credits. Requires an operator's key.",
    "ops": "Queues, holds, pauses, generations of all accounts and payment events. Requires an operator's key.",
    "worker": "Called by workers without Redis: `farebox worker TOOL --via URL`.",
    "service": "Health, metrics, this API description, and the test payment pages.",
}

PARAMETER_EXAMPLES: dict[str, str | int] = {
    "generation": "gen_20goayr242gj22m7kfe7ixf2u2",
    "account": "acme",
    "key": "key_5z2k7qv3h6wn",
    "member": "mem_5z2k7qv3h6wnb4xj7dtm6aec",
    "index": 0,
    "provider": "replicate",
    "token": "the-token-of-the-link",
    "webhook": "default",
    "delivery": "evt_019a8c2f4d7b6e10c35a9f8842",
    "event": "evt_1QfZ3n2eZvKYlo2C",
    "checkout": "chk_5z2k7qv3h6wnb4xj7dtm6aec",
    "tool": "image",
    "kind": "model",
    "name": "recraft-v4",
    "call": "ledger.time",
    "object": "outputs:20:gen_20goayr242gj22m7kfe7ixf2u2:1-0.png",
}

EXAMPLES: dict[Call, dict[str, Any]] = {
    ("POST", "/v1/ops/bulk/cancel"): {
        "filter": {"provider": "replicate", "older_than_seconds": 3600},
        "reason": "the provider is down",
    },
    ("POST", "/v1/ops/bulk/retry"): {
        "filter": {"model": "flux-dev", "code": "provider_failed"},
        "reason": "the provider is back",
    },
    ("POST", "/v1/ops/bulk/refund"): {"filter": {"account": "acme", "tool": "image"}, "reason": "charged twice"},
    ("POST", "/v1/admin/generations/{generation}/refund"): {"reason": "the picture came out grey"},
    ("POST", "/v1/admin/generations/{generation}/retry"): {"reason": "the provider is back"},
    ("PUT", "/v1/ops/pauses/{kind}/{name}"): {"reason": "its provider is down until noon"},
    ("PUT", "/v1/admin/accounts/{account}/pause"): {"reason": "we are looking into a chargeback; write to support"},
    ("POST", "/v1/generations"): {
        "tool": "image",
        "model": "flux-dev",
        "prompt": "a red bicycle in the snow",
        "outputs": 2,
        "max_credits": 20,
    },
    ("POST", "/v1/worker/calls/{call}"): {"arguments": {}},
    ("POST", "/v1/tokens"): {"credits": 50, "tools": ["image"], "expires_in_seconds": 900},
    ("POST", "/v1/quotes"): {"tool": "image", "model": "nano-banana-2", "settings": {"resolution": "2K"}},
    ("POST", "/v1/webhooks"): {
        "url": "https://example.com/farebox",
        "events": ["generation.succeeded", "generation.failed"],
    },
    ("PATCH", "/v1/webhooks/{webhook}"): {"status": "active"},
    ("POST", "/v1/top-ups"): {"bundle": "small"},
    ("POST", "/v1/subscriptions"): {"plan": "standard", "interval": "monthly"},
    ("PATCH", "/v1/subscription"): {"plan": "basic"},
    ("PUT", "/v1/alerts"): {"thresholds": [0.2, 0]},
    ("POST", "/v1/estimates"): {
        "items": [{"tool": "image", "model": "nano-banana", "per_day": 30, "days": 22}],
        "buffer": 0.25,
    },
    ("PUT", "/v1/admin/accounts/{account}"): {"email": "ada@example.com", "metadata": {"team": "analysis"}},
    ("POST", "/v1/admin/accounts/{account}/keys"): {"label": "web shop"},
    ("PATCH", "/v1/admin/accounts/{account}/keys/{key}"): {"limit": {"credits": 500, "period": "weekly"}},
    ("POST", "/v1/admin/accounts/{account}/keys/{key}/rotate"): {"overlap_seconds": 3600},
    ("POST", "/v1/members"): {"name": "Grace Hopper", "role": "member"},
    ("PATCH", "/v1/members/{member}"): {"limit": {"credits": 500, "period": "weekly"}},
    ("POST", "/v1/keys"): {"label": "web shop"},
    ("PATCH", "/v1/keys/{key}"): {"limit": {"credits": 500, "period": "weekly"}},
    ("POST", "/v1/keys/{key}/rotate"): {"overlap_seconds": 3600},
    ("POST", "/v1/admin/accounts/{account}/members"): {"name": "Ada Lovelace", "email": "ada@example.com"},
    ("PATCH", "/v1/admin/accounts/{account}/members/{member}"): {"limit": {"credits": 500, "period": "weekly"}},
    ("POST", "/v1/admin/keys"): {"scope": "ops", "label": "dashboard"},
    ("PUT", "/v1/admin/accounts/{account}/subscription"): {"plan": "standard", "interval": "monthly"},
    ("PATCH", "/v1/admin/accounts/{account}/subscription"): {"plan": "ultimate", "when": "now"},
    ("POST", "/v1/admin/accounts/{account}/grants"): {"bucket": "top_up", "credits": 500, "reason": "welcome"},
    ("POST", "/v1/admin/accounts/{account}/adjustments"): {
        "bucket": "top_up",
        "credits": -73.5,
        "reason": "granted twice by mistake",
    },
    ("PUT", "/v1/admin/accounts/{account}/alerts"): {"thresholds": [0.2, 0]},
    ("PUT", "/v1/admin/accounts/{account}/factors"): {
        "factors": {"video": 0.9, "*": 0.95},
        "reason": "Annual contract",
    },
    ("POST", "/v1/admin/accounts/{account}/clock"): {"advance_seconds": 86400},
    ("POST", "/checkout/{checkout}"): {"token": "the-token-of-the-link", "answer": "pay"},
}

_JOB_ID = {"type": "string", "minLength": 1, "maxLength": 500}

SIGNED_BODIES: dict[Call, dict[str, Any]] = {
    ("POST", "/v1/payments/stripe/webhook"): {
        "required": True,
        "description": (
            "An event as Stripe sends it, signed in the header `Stripe-Signature` with this gateway's webhook secret. "
            "Types that Farebox does not use are ignored."
        ),
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "object": {"const": "event"},
                        "type": {"type": "string"},
                        "created": {"type": "integer"},
                        "data": {"type": "object", "properties": {"object": {"type": "object"}}},
                    },
                    "required": ["id", "type", "data"],
                },
                "example": {
                    "id": "evt_1PgafyB7WZ01zgkW",
                    "object": "event",
                    "type": "checkout.session.completed",
                    "created": 1795712345,
                    "data": {"object": {"id": "cs_test_a1b2c3", "object": "checkout.session"}},
                },
            }
        },
    },
    ("POST", "/v1/callbacks/{provider}/{token}"): {
        "required": True,
        "description": (
            "What the provider sends when a job has ended. Only the job's id is read: `id` from `replicate` and `http` "
            "providers, `request_id` from `fal`. The signature of `replicate` and `http` is in the `webhook-…` headers "
            "of Standard Webhooks, that of `fal` in `x-fal-webhook-…`."
        ),
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"id": _JOB_ID, "request_id": _JOB_ID},
                    "anyOf": [{"required": ["id"]}, {"required": ["request_id"]}],
                },
                "example": {"id": "gm3qorzdhgbfurvjtvhg6dckhu", "status": "succeeded"},
            }
        },
    },
}
"""Bodies created and signed by others, in shapes that are not ours. Members not described here are not read."""
