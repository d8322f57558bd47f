"""The settings, read once from the environment: the only module that reads `os.environ`.

Every setting of docs/settings.md is a field of `Settings`, named alike without its `FAREBOX_` prefix: here, or in one
of the parts in `local/`. A client's are in `client/settings.py`. A value that is wrong stops the program at start with
a message that names the variable and what it may be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.domain import AMOUNT_MAX_MILLICREDITS, millicredits_to_credits
from gateway.errors import SettingsError
from gateway.ledger.retention import OPEN_DAYS, RECORD_DAYS, Retention
from gateway.local.cores import usable_cores
from gateway.local.listening import http_address, is_every_address, is_loopback, local_host, public_host
from gateway.local.openid_settings import OpenIdSettings
from gateway.local.queue_settings import QUEUE_SCHEMES, QueueSettings
from gateway.local.secret_settings import SecretSettings
from gateway.local.urls import readable, with_scheme
from gateway.outside.addresses import AddressGuard, parse_networks
from gateway.outside.cors import parse_origins
from gateway.outside.proxies import Proxies, ProxyHeader
from gateway.outside.return_urls import ReturnUrls, origin_of
from gateway.queue.variables import OF_A_TOOL

_LEDGER_SCHEMES = QUEUE_SCHEMES | {"redis+cluster", "rediss+cluster"}
_EVENTS_SCHEMES = frozenset({"http", "https", "kafka", "kafka+ssl"})
_ARCHIVE_SCHEMES = frozenset({"postgresql", "postgres"})
_CLOUD_VARIABLES = ("AWS_", "AZURE_", "GOOGLE_", "SERVICE_ACCOUNT")
DAYS_MAX = 3650
_CREDITS_MAX = millicredits_to_credits(AMOUNT_MAX_MILLICREDITS)
Read = TypeVar("Read", bound=BaseSettings)
PROCESSES_MAX = 64  # gateways on one port
_SOCKET_PATH_MAX = 100  # sockaddr_un holds 108 bytes on Linux, 104 on macOS


class Settings(OpenIdSettings, QueueSettings, SecretSettings):
    """One validated, immutable object. `embedded` says that Farebox runs its own Redis."""

    model_config = SettingsConfigDict(env_prefix="FAREBOX_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    gateways: Literal["auto"] | Annotated[int, Field(ge=1, le=PROCESSES_MAX)] = 1
    rate_card: Path | None = None
    ledger_url: str | None = None
    archive_url: str | None = None
    events_url: str | None = None
    events_token: SecretStr | None = None
    outputs_url: str | None = None
    outputs_credentials: Literal["environment", "instance"] = "environment"
    output_redirects: Literal["auto", "always", "never"] = "auto"
    public_url: str | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    test_mode: bool | None = None
    require_durable: bool = False
    durable_by: Literal["settings", "service"] = "settings"
    wait_replicas: int = Field(default=0, ge=0)
    lease_seconds: float = Field(default=30, ge=0.3, le=3600)
    dispatch_seconds: float = Field(default=2, ge=0.05, le=60)
    accept_without_worker_seconds: float = Field(default=600, ge=0, le=86_400)
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    support_max_credits: Decimal = Field(default=Decimal(1000), ge=0, le=_CREDITS_MAX, decimal_places=3)
    upload_gib_per_day: float = Field(default=10, ge=0.1, le=1_000_000)
    output_days: int = Field(default=RECORD_DAYS, ge=1, le=DAYS_MAX)
    list_days: int | None = Field(default=None, ge=1, le=DAYS_MAX + OPEN_DAYS)
    journal_days: int = Field(default=400, ge=60, le=DAYS_MAX)
    usage_days: int = Field(default=400, ge=32, le=DAYS_MAX)
    payments: Literal["local", "none", "stripe"] | None = None
    return_origins: str = ""
    stripe_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    webhook_networks: str = ""
    input_networks: str = ""
    connections_per_address: int | None = Field(default=None, ge=1, le=1_000_000)
    trusted_proxies: str = ""
    cors_origins: str = ""
    proxy_header: ProxyHeader = "X-Forwarded-For"
    redis_memory_mib: int = Field(default=0, ge=0, le=16_777_216)
    worker_jobs: int = Field(default=150, ge=1, le=10_000)
    grace_seconds: float = Field(default=20, ge=0, le=3600)
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("ledger_url")
    @classmethod
    def _known_ledger_scheme(cls, url: str | None) -> str | None:
        return url if url is None else with_scheme(url, _LEDGER_SCHEMES)

    @field_validator("archive_url")
    @classmethod
    def _known_archive_scheme(cls, url: str | None) -> str | None:
        return None if url is None else with_scheme(url, _ARCHIVE_SCHEMES)

    @field_validator("events_url")
    @classmethod
    def _known_events_scheme(cls, url: str | None) -> str | None:
        return None if url is None else with_scheme(url, _EVENTS_SCHEMES)

    @field_validator("archive_url", "events_url", "outputs_url", "public_url")
    @classmethod
    def _readable(cls, url: str | None) -> str | None:
        return None if url is None else readable(url)

    @field_validator("webhook_networks", "input_networks", "trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        try:
            parse_networks(text)
        except ValueError as error:
            raise ValueError(f"must be comma-separated networks such as 10.0.0.0/8,fd00::/8: {error}") from None
        return text

    @field_validator("cors_origins", "return_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        try:
            parse_origins(text)
        except ValueError as error:
            raise ValueError(f"must be comma-separated origins such as https://app.example.com: {error}") from None
        return text

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        return host.strip().removeprefix("[").removesuffix("]")

    @model_validator(mode="after")
    def _no_play_money_for_others(self) -> Settings:
        if self.payments == "local" and not self.in_test_mode and self.reached_by is not None:
            msg = (
                "FAREBOX_PAYMENTS=local gives credits away without payment, and others can reach this gateway "
                f"({self.reached_by}): set FAREBOX_PAYMENTS=stripe or none, or FAREBOX_TEST_MODE=1 if this is intended"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _a_cluster_needs_a_queue(self) -> Settings:
        if self.ledger_url and "+cluster" in _scheme(self.ledger_url) and not self.queue_url:
            msg = "FAREBOX_LEDGER_URL is a cluster, and arq cannot run on one: set FAREBOX_QUEUE_URL too"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _metrics_have_a_port_of_their_own(self) -> Settings:
        if self.metrics_port is not None and self.metrics_port == self.port:
            msg = "FAREBOX_METRICS_PORT must not be FAREBOX_PORT: metrics get an address of their own"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _lists_hold_what_is_kept(self) -> Settings:
        least = max(self.output_days, RECORD_DAYS) + OPEN_DAYS
        if self.list_days is not None and self.list_days < least:
            msg = (
                f"FAREBOX_LIST_DAYS must be at least {least}: an ended generation is kept for {least - OPEN_DAYS} "
                f"days (30, or FAREBOX_OUTPUT_DAYS), after being open for up to {OPEN_DAYS}"
            )
            raise ValueError(msg)
        return self

    @property
    def retention(self) -> Retention:
        """How long ended generations and other history are kept."""
        usual = max(self.output_days, RECORD_DAYS) + OPEN_DAYS
        lists = usual if self.list_days is None else self.list_days
        return Retention(outputs=self.output_days, lists=lists, journal=self.journal_days, usage=self.usage_days)

    @property
    def embedded(self) -> bool:
        """Whether Farebox runs its own Redis, because no URL is set."""
        return self.ledger_url is None and self.queue_url is None

    @property
    def in_test_mode(self) -> bool:
        """Test mode (R22). By default on with the embedded ledger, if only this machine can reach the gateway."""
        return self.embedded and self.reached_by is None if self.test_mode is None else self.test_mode

    @property
    def reached_by(self) -> str | None:
        """The setting that makes the gateway reachable from other machines; None: it is not."""
        if not is_loopback(self.host):
            return f"FAREBOX_HOST={self.host}"
        if self.public_url is not None and not is_loopback(urlsplit(self.public_url).hostname or ""):
            return f"FAREBOX_PUBLIC_URL={self.public_url}"
        return f"FAREBOX_TRUSTED_PROXIES={self.trusted_proxies}" if self.trusted_proxies.strip() else None

    @property
    def redis_socket(self) -> Path:
        """The unix socket of the embedded Redis."""
        return self.socket("redis.sock")

    def socket(self, name: str) -> Path:
        """A unix socket in the data folder, or by digest in the temporary one if its path would be too long."""
        path = self.data.resolve() / name
        if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"farebox-{digest}.sock"

    @property
    def ledger_address(self) -> str:
        """The address of the ledger, or else of the embedded server."""
        return self.ledger_url or self.queue_url or f"unix://{self.redis_socket}"

    @property
    def queue_address(self) -> str:
        """The address of the queue's Redis, or else of the embedded server."""
        return self.queue_url or self.ledger_url or f"unix://{self.redis_socket}"

    @property
    def outputs_address(self) -> str:
        """Where outputs are stored, as a URL for `obstore`."""
        return self.outputs_url or (self.data.resolve() / "outputs").as_uri()

    @property
    def public_address(self) -> str:
        """The address that clients use, without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        return http_address(public_host(self.host), self.port)

    @property
    def public_address_is_guessed(self) -> bool:
        """Whether links point to an address of this machine that was not configured."""
        return not self.public_url and is_every_address(self.host)

    @property
    def local_address(self) -> str:
        """The gateway's address on this machine, whatever clients use."""
        return http_address(local_host(self.host), self.port)

    @property
    def operators_address(self) -> str:
        """The gateway's address for the command line: FAREBOX_PUBLIC_URL, else the one on this machine."""
        return self.public_address if self.public_url else self.local_address

    @property
    def address_guard(self) -> AddressGuard:
        """Which addresses may be called if a customer names the URL."""
        return AddressGuard(parse_networks(self.webhook_networks), setting="FAREBOX_WEBHOOK_NETWORKS")

    @property
    def input_guard(self) -> AddressGuard:
        """Which addresses inputs may be fetched from."""
        return AddressGuard(parse_networks(self.input_networks), setting="FAREBOX_INPUT_NETWORKS")

    @property
    def return_urls(self) -> ReturnUrls:
        """Where payment pages may return to: this gateway, allowed origins, and in test mode pages on this machine."""
        allowed = set(parse_origins(self.return_origins))
        with contextlib.suppress(ValueError):  # a public address that browsers may parse in two ways is not an origin
            allowed.add(origin_of(self.public_address))
        return ReturnUrls(frozenset(allowed), loopback=self.in_test_mode)

    @property
    def gateway_count(self) -> int:
        """How many gateway processes share the port: for `auto`, one for each core that this process may use."""
        return min(usable_cores(), PROCESSES_MAX) if self.gateways == "auto" else self.gateways

    @property
    def proxies(self) -> Proxies:
        """The reverse proxies that are trusted to report the client's address."""
        return Proxies(parse_networks(self.trusted_proxies), self.proxy_header)

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins whose pages may call the API from a browser."""
        return parse_origins(self.cors_origins)

    @property
    def lease_ms(self) -> int:
        """How long a lease lasts without a renewal."""
        return round(self.lease_seconds * 1000)

    @property
    def dispatch_ms(self) -> int:
        """How long a queued generation may go undispatched before the caretaker does it."""
        return round(self.dispatch_seconds * 1000)

    def environment(self) -> dict[str, str]:
        """The environment for a child process with these settings, whatever its working directory."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        values = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in given.items()
            if value is not None
        }
        values["data"] = str(self.data.resolve())
        values.pop("queue_urls", None)
        of_tools = {OF_A_TOOL + name: url for name, url in self.queue_urls.items()}
        return {**os.environ, **of_tools, **{f"FAREBOX_{name.upper()}": value for name, value in values.items()}}


def environment_secret(name: str) -> str | None:
    """A secret from a variable named in the rate card, such as a provider's key; None if it is unset or empty."""
    return os.environ.get(name) or None


def cloud_environment() -> dict[str, str]:
    """The clouds' own environment variables: a bucket's endpoint and credentials."""
    return {name: value for name, value in os.environ.items() if name.startswith(_CLOUD_VARIABLES) or name == "HOME"}


def telemetry_environment() -> dict[str, str]:
    """OpenTelemetry's own variables, which its SDK reads: where the collector is, and what it gets."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_") and value}


def load_settings(**overrides: object) -> Settings:
    """Read the environment; SettingsError names every wrong variable and its accepted values."""
    return read_settings(Settings, **overrides)


def read_settings(settings: type[Read], **overrides: object) -> Read:
    """The same for another program's settings."""
    try:
        return settings(**overrides)  # type: ignore[arg-type]  # pydantic validates what it is given
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "FAREBOX_" + str(problem["loc"][0]).upper() if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}" if name else message)
        raise SettingsError("\n".join(lines)) from None


def _scheme(url: str) -> str:
    return url.partition("://")[0]
