"""The services that handlers may use, as typed keys of the application; `gateway.app` creates them."""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import Callers
from gateway.api.access.callback_signatures import CallbackSignatures
from gateway.api.access.key_use import KeyUse
from gateway.api.access.openid import OpenIdProvider
from gateway.api.access.sessions import Sessions
from gateway.api.access.wrong_keys import WrongKeys
from gateway.api.description.description import Description
from gateway.api.http.error_forms import ErrorForms
from gateway.api.http.intake import Intake
from gateway.api.metrics import Metrics
from gateway.api.ordering.ordering import Ordering
from gateway.api.ordering.quote_tokens import QuoteTokens
from gateway.api.pause_board import PauseBoard
from gateway.api.streams.hub import Hub
from gateway.archive.reading import ArchiveReader
from gateway.ledger.card_in_force import CardInForce
from gateway.ledger.client_calls import ClientCalls
from gateway.ledger.idempotency import Requests
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputLinks, OutputStore, StoreWatch, UploadAddresses
from gateway.outside.callback_links import CallbackLinks
from gateway.outside.proxies import Proxies
from gateway.outside.receivers import Receivers
from gateway.outside.webhook_secrets import WebhookSecrets
from gateway.payments import CheckoutLinks, PaymentProvider
from gateway.payments.received import ReceivedEvents
from gateway.pricing.reload import RateCards
from gateway.process_metrics import ProcessMetrics
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.queue import Queue
from gateway.queue.slots import Slots
from gateway.queue.workforce import Workforce
from gateway.settings import Settings
from gateway.startup.readiness import Startup
from gateway.tasks import Tasks
from gateway.views.kept_bodies import Bodies

SETTINGS = web.AppKey("SETTINGS", Settings)
PROXIES = web.AppKey("PROXIES", Proxies)
STARTUP = web.AppKey("STARTUP", Startup)
LEDGER = web.AppKey("LEDGER", Ledger)
REQUESTS = web.AppKey("REQUESTS", Requests)
CLIENT_CALLS = web.AppKey("CLIENT_CALLS", ClientCalls)
PAYMENT_EVENTS = web.AppKey("PAYMENT_EVENTS", ReceivedEvents)
PAUSE_BOARD = web.AppKey("PAUSE_BOARD", PauseBoard)
QUEUE = web.AppKey("QUEUE", Queue)
DISPATCHER = web.AppKey("DISPATCHER", Dispatcher)
CARD_IN_FORCE = web.AppKey("CARD_IN_FORCE", CardInForce)
RATE_CARDS = web.AppKey("RATE_CARDS", RateCards)
ORDERING = web.AppKey("ORDERING", Ordering)
OUTPUTS = web.AppKey("OUTPUTS", OutputStore)
STORE_WATCH = web.AppKey("STORE_WATCH", StoreWatch)
BODIES = web.AppKey("BODIES", Bodies)
INTAKE = web.AppKey("INTAKE", Intake)
UPLOAD_ADDRESSES = web.AppKey("UPLOAD_ADDRESSES", UploadAddresses)
LINKS = web.AppKey("LINKS", OutputLinks)
PAYMENTS: web.AppKey[PaymentProvider | None] = web.AppKey("PAYMENTS")
CHECKOUT_LINKS = web.AppKey("CHECKOUT_LINKS", CheckoutLinks)
CALLBACK_LINKS = web.AppKey("CALLBACK_LINKS", CallbackLinks)
CALLBACK_SIGNATURES = web.AppKey("CALLBACK_SIGNATURES", CallbackSignatures)
SESSIONS = web.AppKey("SESSIONS", Sessions)
ARCHIVE: web.AppKey[ArchiveReader | None] = web.AppKey("ARCHIVE")
OPENID: web.AppKey[OpenIdProvider | None] = web.AppKey("OPENID")
CALLERS = web.AppKey("CALLERS", Callers)
WRONG_KEYS = web.AppKey("WRONG_KEYS", WrongKeys)
KEY_USE = web.AppKey("KEY_USE", KeyUse)
QUOTE_TOKENS = web.AppKey("QUOTE_TOKENS", QuoteTokens)
BACKGROUND = web.AppKey("BACKGROUND", Tasks)
SLOTS = web.AppKey("SLOTS", Slots)
HUB = web.AppKey("HUB", Hub)
WORKFORCE = web.AppKey("WORKFORCE", Workforce)
ERROR_FORMS: web.AppKey[ErrorForms] = web.AppKey("ERROR_FORMS")
CORS_ORIGINS: web.AppKey[frozenset[str]] = web.AppKey("CORS_ORIGINS")
METRICS = web.AppKey("METRICS", Metrics)
PROCESS_METRICS = web.AppKey("PROCESS_METRICS", ProcessMetrics)
"""Only under `farebox up`."""
RECEIVERS = web.AppKey("RECEIVERS", Receivers)
WEBHOOK_SECRETS = web.AppKey("WEBHOOK_SECRETS", WebhookSecrets)
DESCRIPTION = web.AppKey("DESCRIPTION", Description)
