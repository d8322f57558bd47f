"""The first tables: accounts, entries, generations, usage, audit log, state."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    # `last_entry` is the cursor: entries up to it are in `entries`. The other columns are the account's own, as they
    # were after entry `at_entry`, which is behind only while a long journal is copied for the first time.
    """
    CREATE TABLE farebox.accounts (
        account    text PRIMARY KEY,
        partition  smallint NOT NULL,
        last_entry bigint NOT NULL,
        at_entry   bigint,
        copied_at  timestamptz NOT NULL,
        fields     jsonb,
        api_keys   jsonb,
        webhooks   jsonb,
        billing    jsonb
    )
    """,
    # `number` is the order of copying, for readers that follow along. An entry never changes.
    """
    CREATE TABLE farebox.entries (
        account              text NOT NULL,
        id                   bigint NOT NULL,
        at                   timestamptz NOT NULL,
        kind                 text NOT NULL,
        available_after      bigint NOT NULL,
        held_after           bigint NOT NULL,
        changes              text NOT NULL,
        generation           text,
        key                  text,
        member               text,
        reason               text,
        number               bigint GENERATED ALWAYS AS IDENTITY,
        PRIMARY KEY (account, id, at)
    ) PARTITION BY RANGE (at)
    """,
    """
    CREATE INDEX entries_number ON farebox.entries USING brin (number)
    WITH (pages_per_range = 32, autosummarize = on)
    """,
    """
    CREATE TABLE farebox.generations (
        id          text NOT NULL,
        account     text NOT NULL,
        place       bigint NOT NULL,
        state       text NOT NULL,
        tool        text NOT NULL,
        model       text NOT NULL,
        key         text,
        member      text,
        price       bigint NOT NULL,
        committed   bigint,
        refunded    bigint,
        version     bigint NOT NULL,
        created_at  timestamptz NOT NULL,
        finished_at timestamptz,
        fields      jsonb NOT NULL,
        PRIMARY KEY (id, created_at)
    ) PARTITION BY RANGE (created_at)
    """,
    "CREATE INDEX generations_of_account ON farebox.generations (account, place DESC)",
    "CREATE INDEX generations_of_member ON farebox.generations (account, member, place DESC) WHERE member IS NOT NULL",
    """
    CREATE TABLE farebox.usage (
        account text NOT NULL,
        day     date NOT NULL,
        sums    jsonb NOT NULL,
        by_key  jsonb NOT NULL,
        by_tag  jsonb NOT NULL,
        PRIMARY KEY (account, day)
    ) PARTITION BY RANGE (day)
    """,
    """
    CREATE TABLE farebox.audit_log (
        id      text NOT NULL,
        at      timestamptz NOT NULL,
        request text NOT NULL,
        call    json NOT NULL,
        PRIMARY KEY (id, at)
    ) PARTITION BY RANGE (at)
    """,
    "CREATE INDEX audit_log_request ON farebox.audit_log (request)",
    """
    CREATE TABLE farebox.state (
        name  text PRIMARY KEY,
        value jsonb NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Make them."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Nothing goes back: the tables hold the only copy of what the ledger no longer keeps."""
    raise NotImplementedError
