"""The operators' part of the HTTP surface, accounts first: `routes.py` has the whole of it."""

from __future__ import annotations

from gateway.api.access.roles import ADMIN, CREDIT_CHANGERS, MONEY_CHANGERS, MONEY_READERS, OPERATORS, READERS
from gateway.api.handlers import (
    accounts,
    audit_log,
    bulk,
    corrections,
    keys,
    margin,
    members,
    ops,
    ops_generations,
    pauses,
    payment_events,
    persons,
    search,
    series,
    subscriptions,
)
from gateway.api.http.headers import JSON_LINES
from gateway.api.http.route import Route
from gateway.schemas import accounts as account_schemas
from gateway.schemas import audit_log as audit_schemas
from gateway.schemas import bulk as bulk_schemas
from gateway.schemas import generations as generation_schemas
from gateway.schemas import margin as margin_schemas
from gateway.schemas import members as member_schemas
from gateway.schemas import ops as operations_schemas
from gateway.schemas import ops_generations as ops_generation_schemas
from gateway.schemas import pauses as pause_schemas
from gateway.schemas import payments as payment_schemas
from gateway.schemas import persons as person_schemas
from gateway.schemas import search as search_schemas
from gateway.schemas import sessions as session_schemas

ADMIN_ACCOUNT = "/v1/admin/accounts/{account}"
ADMIN_MEMBER = f"{ADMIN_ACCOUNT}/members/{{member}}"
ADMIN_GENERATION = "/v1/admin/generations/{generation}"
PAUSE = "/v1/ops/pauses/{kind}/{name}"

# fmt: off
OPERATOR_ROUTES: tuple[Route, ...] = (
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
)
# fmt: on
