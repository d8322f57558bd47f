"""Who may make which call: the sets of scopes that the table of routes names, and what a role is not shown (R37).

A route has exactly one of these sets, so no route can be without a decision; `docs/limits.md` shows role × route, and
`tests/api/test_scopes.py` calls each with each.

| role | may |
|---|---|
| `ops` | read queues, pauses and payment events; list generations, without what they are of |
| `worker` | make generations, as a worker without Redis (`farebox worker TOOL --via URL`), and nothing else |
| `viewer` | read everything of accounts, but no prompts, inputs or outputs |
| `support` | read everything of accounts; change credits, up to FAREBOX_SUPPORT_MAX_CREDITS per call |
| `billing` | read what a viewer reads; change credits, subscriptions and payment events |
| `admin` | make every call of operators; only an admin makes or revokes keys |
"""

from __future__ import annotations

from gateway.domain import Scope

PUBLIC: frozenset[Scope] = frozenset()
ACCOUNT = frozenset({Scope.ACCOUNT})
ADMIN = frozenset({Scope.ADMIN})
CLIENT = frozenset({Scope.ACCOUNT, Scope.TOKEN})
"""What a client token may do too: quote, generate, and read what it made itself."""
READERS = frozenset({Scope.VIEWER, Scope.SUPPORT, Scope.BILLING, Scope.ADMIN})
OPERATORS = READERS | {Scope.OPS}
CONTENT_READERS = frozenset({Scope.ACCOUNT, Scope.TOKEN, Scope.SUPPORT, Scope.ADMIN})
"""Who is shown prompts, inputs and outputs."""
MONEY_CHANGERS = frozenset({Scope.BILLING, Scope.ADMIN})
MONEY_READERS = MONEY_CHANGERS
"""Who is shown what things cost."""
CREDIT_CHANGERS = MONEY_CHANGERS | {Scope.SUPPORT}
"""Every call that admits them checks `check_support_ceiling`."""
WORKERS = ADMIN | {Scope.WORKER}
OWNER_OR_ADMIN = ACCOUNT | ADMIN
OWNER_OR_SUPPORT = ACCOUNT | ADMIN | {Scope.SUPPORT}
OWNER_OR_READER = ACCOUNT | READERS
CLIENT_OR_SUPPORT = CLIENT | OWNER_OR_SUPPORT
CLIENT_OR_READER = CLIENT | OWNER_OR_READER
ANY_KEY = frozenset(Scope) - {Scope.TOKEN, Scope.WORKER}
