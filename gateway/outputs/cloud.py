"""Opens buckets: endpoint and credentials, without unwanted calls to a metadata service.

obstore reads the usual variables of each cloud. Without credentials, it would ask the machine's metadata service
(169.254.169.254) for a role, on any machine, and wait for as long as that does not respond. Here the service
is only asked if a setting says so; otherwise requests are sent unsigned, and the store's error names what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore.store import ObjectStore, from_url

# obstore would retry for three minutes without reporting anything. Callers retry instead, and log it.
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}

_S3 = frozenset({"s3", "s3a"})
_GOOGLE = frozenset({"gs"})
_AZURE = frozenset({"az", "adl", "azure", "abfs", "abfss"})
SCHEMES = _S3 | _GOOGLE | _AZURE

_ALTERNATIVES: dict[frozenset[str], tuple[tuple[str, ...], ...]] = {
    _S3: (
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
        # Where a container of ECS or EKS gets its role: the platform sets this for the container only.
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
    ),
    _GOOGLE: (
        ("GOOGLE_SERVICE_ACCOUNT",),
        ("GOOGLE_SERVICE_ACCOUNT_PATH",),
        ("GOOGLE_SERVICE_ACCOUNT_KEY",),
        ("GOOGLE_APPLICATION_CREDENTIALS",),
        ("SERVICE_ACCOUNT",),
    ),
    _AZURE: (
        ("AZURE_STORAGE_ACCOUNT_KEY",),
        ("AZURE_STORAGE_ACCESS_KEY",),
        ("AZURE_STORAGE_SAS_KEY",),
        ("AZURE_STORAGE_SAS_TOKEN",),
        ("AZURE_STORAGE_TOKEN",),
        ("AZURE_STORAGE_CLIENT_SECRET",),
        ("AZURE_CLIENT_SECRET",),
        ("AZURE_FEDERATED_TOKEN_FILE",),
        ("AZURE_USE_AZURE_CLI",),
        ("AZURE_STORAGE_USE_EMULATOR",),
    ),
}
"""Sets of variables, any of which is enough for a cloud's credentials."""
_ENDPOINTS = {
    _S3: ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    _GOOGLE: ("GOOGLE_BASE_URL",),
    _AZURE: ("AZURE_STORAGE_ENDPOINT",),
}
"""The variables that name an endpoint of one's own."""
_GOOGLE_DEFAULT = ".config/gcloud/application_default_credentials.json"


def open_bucket(url: str, *, unsigned: bool) -> ObjectStore:
    """The bucket at `url`; `unsigned`: without looking for credentials. Raises obstore's errors and ValueError."""
    config: Any = {"skip_signature": True} if unsigned else None
    retries: Any = _RETRIES
    return from_url(url, config=config, retry_config=retries)


def has_credentials(url: str, environment: Mapping[str, str]) -> bool:
    """Whether the environment holds credentials for the bucket at `url`."""
    scheme = urlsplit(url).scheme
    for schemes, alternatives in _ALTERNATIVES.items():
        if scheme in schemes and any(all(environment.get(name) for name in names) for names in alternatives):
            return True
    return scheme in _GOOGLE and (Path(environment.get("HOME", "/")) / _GOOGLE_DEFAULT).is_file()


def endpoint_of(url: str, environment: Mapping[str, str]) -> str:
    """The endpoint of the bucket at `url`, as far as the environment says; for the log."""
    own = own_endpoint(url, environment)
    if own is not None:
        return own
    parts = urlsplit(url)
    if parts.scheme in _S3:
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        return f"https://s3.{region}.amazonaws.com"
    if parts.scheme in _GOOGLE:
        return "https://storage.googleapis.com"
    account = environment.get("AZURE_STORAGE_ACCOUNT_NAME") or parts.hostname or ""
    return f"https://{account}.blob.core.windows.net"


def own_endpoint(url: str, environment: Mapping[str, str]) -> str | None:
    """The endpoint that the environment names instead of the cloud's; None if it names none."""
    scheme = urlsplit(url).scheme
    names = [name for schemes, found in _ENDPOINTS.items() if scheme in schemes for name in found]
    return next((_without_user(environment[name]) for name in names if environment.get(name)), None)


def bucket_of(url: str) -> str:
    """The bucket and the prefix, without any credentials before an @."""
    return _without_user(url).rstrip("/")


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
