"""Explains the object store's errors to operators."""

from __future__ import annotations

import errno
import re

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from gateway.errors import StoreFault

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_CAUSE = re.compile(r'(?:message|error): "([^"\n]+)"')
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXTS = ("No space left", "Disk quota exceeded", "File too large")
_REASON_MAX_CHARACTERS = 200


def fault_of(error: Exception) -> StoreFault:
    """The fault behind an error of obstore or of the file system."""
    text = str(error)
    reason = _reason(error, text)
    if no_such_bucket(error):
        return StoreFault(
            "the bucket does not exist", reason, "create the bucket, or correct FAREBOX_OUTPUTS_URL or the endpoint"
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _status(text) in {"401", "403"}:
        return StoreFault(
            "it rejects our credentials",
            reason,
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS or "
            "AZURE_STORAGE_ACCOUNT_KEY to credentials with permission to read, write, list and delete, or "
            "FAREBOX_OUTPUTS_CREDENTIALS=instance to use this machine's role",
        )
    if "builder error" in text:
        return StoreFault(
            "its endpoint is not an https: URL",
            "the endpoint is not an https: URL",
            "set AWS_ALLOW_HTTP=true to use an http: endpoint, or correct AWS_ENDPOINT_URL",
        )
    if getattr(error, "errno", None) in _FULL or any(full in text for full in _FULL_TEXTS):
        return StoreFault("its disk is full", reason, "free space on the disk of FAREBOX_OUTPUTS_URL")
    if isinstance(error, PermissionError) or "Permission denied" in text or "Read-only file system" in text:
        return StoreFault("its folder is not writable", reason, "give this user write access to the folder")
    return StoreFault(
        "it is not responding, or not as expected",
        reason,
        "check that it can be reached from here, or correct FAREBOX_OUTPUTS_URL (and, for a bucket, the endpoint)",
    )


def no_such_bucket(error: Exception) -> bool:
    """Whether an object is not found because its bucket does not exist."""
    text = str(error)
    return any(code in text for code in _NO_BUCKET)


def _reason(error: Exception, text: str) -> str:
    """The reason on one line. Of S3's XML only the code: the rest may contain the access key and the signature."""
    status, code = _status(text), _CODE.search(text)
    if status is not None:
        return f"{status} {code[1]}" if code is not None else f"status {status}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # obstore names the call, then adds a page of debug output, which contains the root cause.
    causes = _CAUSE.findall(text)
    said = causes[-1] if causes else text.partition("\n")[0].rpartition(" - ")[2]
    return "timed out" if "TimedOut" in text and not causes else said[:_REASON_MAX_CHARACTERS]


def _status(text: str) -> str | None:
    found = _STATUS.search(text)
    return None if found is None else found[1]
