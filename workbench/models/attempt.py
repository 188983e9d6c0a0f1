"""One attempt at a call that failed, as every client reports it, whatever SDK spoke."""

from __future__ import annotations

import email.utils
import json
import re
import ssl
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal

from workbench.errors import ServiceError
from workbench.secrets import redacted
from workbench.text import clean_line

Kind = Literal["limit", "overloaded", "server", "timeout", "connection", "cut", "malformed", "unsupported", "refused"]
"""`cut`: the reply broke off; `unsupported`: a parameter was declined and is now left out; `refused`: never again."""

_KINDS_BY_TYPE: dict[str, Kind] = {
    "rate_limit_error": "limit",
    "overloaded_error": "overloaded",
    "api_error": "server",
    "server_error": "server",
    "timeout_error": "timeout",
}


class AttemptFailed(ServiceError):
    """An attempt that ended without a reply. `retry_after_s` is what the service asked for, None if it did not say."""

    def __init__(self, kind: Kind, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(redacted(clean_line(message, 300)))
        self.kind: Kind = kind
        self.status = status
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type[AttemptFailed], tuple[Kind, str, int | None, float | None]]:
        return type(self), (self.kind, str(self), self.status, self.retry_after_s)  # so that it can be pickled

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind != "refused"


_FULL = re.compile(
    r"context[ _](length|window)|context is \d|maximum context|prompt is too long|exceeds? the .*context"
)
_ADVICE: dict[Kind, str] = {
    "limit": "the service wants fewer calls: wait a minute and send again",
    "overloaded": "the service is overloaded: send again in a while",
    "server": "the service has trouble of its own: send again in a while",
    "timeout": "send again, or see whether the server still runs",
    "connection": "see whether the address is right and the server runs (`workbench serve list`), then send again",
    "cut": "what had come is kept: send again",
    "malformed": "send again; if it stays so, this server does not speak the protocol",
}


def advice(failure: AttemptFailed) -> str:
    """What a person can do about a failure, in a few words; empty where the message says all that is known."""
    if failure.kind != "refused":
        return _ADVICE.get(failure.kind, "")
    if _FULL.search(str(failure)):
        return "the conversation no longer fits the model: begin a new one"
    if failure.status in (401, 403):
        return "see whether the key in the environment is right and may use this model"
    return "see whether the model's name is right" if failure.status == 404 else ""


def attempt_failed(sdk: ModuleType, model: str, error: Exception) -> AttemptFailed:
    """What an exception of the anthropic or openai SDK (which name theirs alike) or of reading its answer means."""
    for cause in _causes(error):
        if isinstance(cause, AttemptFailed):
            return cause
        if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            why = getattr(cause, "verify_message", "") or "it is not valid"
            return AttemptFailed("refused", f"{model}: the certificate of the service is refused ({why})")
    if isinstance(error, sdk.APITimeoutError):
        return AttemptFailed("timeout", f"{model}: no answer in time")
    if isinstance(error, sdk.APIConnectionError):
        reason = error.__cause__ or error
        return AttemptFailed("connection", f"{model}: cannot reach the service ({reason})")
    if isinstance(error, sdk.APIResponseValidationError | json.JSONDecodeError):
        return AttemptFailed("malformed", f"{model}: the answer is not what the protocol says")
    if isinstance(error, sdk.APIStatusError):
        return _by_status(model, error)
    if isinstance(error, sdk.APIError):  # an error event in a stream that had begun with status 200
        kind = _KINDS_BY_TYPE.get(str(getattr(error, "type", "")), "server")
        if getattr(error, "type", "") == "invalid_request_error":
            kind = "refused"
        return AttemptFailed(kind, f"{model}: {error}", 200)
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return AttemptFailed("timeout", f"{model}: no answer in time")
    if isinstance(error, httpx2.TransportError):
        return AttemptFailed("cut", f"{model}: the connection broke off ({error})")
    return AttemptFailed("malformed", f"{model}: the answer is not what the protocol says ({type(error).__name__})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what led to it, as far as SDKs wrap one in the other."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _by_status(model: str, error: Any) -> AttemptFailed:
    status = int(error.status_code)
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error") if isinstance(body.get("error"), dict) else body
    assert isinstance(inner, dict)
    line = f"{model}: {inner.get('message') or error}"
    by_type = _KINDS_BY_TYPE.get(str(inner.get("type")))
    kind: Kind = "refused"
    if status == 429:
        kind = "limit"
    elif status in (503, 529):
        kind = "overloaded"
    elif status == 408:
        kind = "timeout"
    elif status in (409, 425) or status >= 500:
        kind = "server"
    elif status < 400:
        kind = by_type or "refused"
    if inner.get("code") == "insufficient_quota":
        kind = "refused"
    return AttemptFailed(kind, f"{line} [{status}]", status, _retry_after(error.response.headers))


def _retry_after(headers: Any) -> float | None:
    """Seconds that the service asks to wait: retry-after-ms, else retry-after as seconds or as a date."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers.get(name, "")) * factor)
        except ValueError:
            continue
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
