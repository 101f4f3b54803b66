"""An error as a vendor reports it, whichever vendor it is, and what that means.

OpenAI sends {error: {message, type, param, code}}, Anthropic {type: error, error: {type, message, details}},
Google {error: {code, message, status, details: […]}}, OpenRouter {error: {code, message, metadata}}, Ollama
{error: "…"}, FastAPI {detail: …}, vLLM {object: error, message, …}; others a page or nothing. What each means
stands in catalogue/vendor_errors.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from techsapo_ops.adapters.jsons import load
from techsapo_ops.catalogue.vendors import ErrorRow, error_rows
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError, advice

MAX_RETRY_AFTER = 3600.0
"""Longest wait in seconds that a vendor's word is taken for."""
_SHOWN = 400
"""Most characters of a body that is no JSON, or of a message that is no text."""
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d+)?)s")
_IN_WORDS = re.compile(
    r"(?:try again|retry) in (?:(?P<ms>\d{1,9}(?:\.\d+)?)ms"
    r"|(?=\d)(?:(?P<h>\d{1,4})h)?(?:(?P<m>\d{1,6})m(?!s))?(?:(?P<s>\d{1,9}(?:\.\d+)?)s)?)",
    re.IGNORECASE,
)
"""OpenAI "Please try again in 558ms", "… in 7m12s", Google "Please retry in 20.04466179s."""

_OURS = re.compile(r"overload|server|internal|unavailable|failed|error_during", re.IGNORECASE)
"""Names by which a vendor takes the blame, where no row and no status says more."""


@dataclass(frozen=True, slots=True)
class VendorError:
    """An error as a vendor tells it. `status` is 200 where it came within an answer that had begun.

    `kind`, `code` and `word` are error.type, error.code and Google's error.status, `reason` what its details
    or metadata add; `names` are all of these in lower case. `quotas` are the ids of quotas that are used up,
    `metadata` the keys of OpenRouter's. `wait` is in seconds, None where nothing says how long. `parsed` says
    whether the body was JSON.
    """

    status: int
    message: str
    kind: str = ""
    code: str = ""
    param: str = ""
    word: str = ""
    reason: str = ""
    names: frozenset[str] = frozenset()
    quotas: tuple[str, ...] = ()
    metadata: frozenset[str] = frozenset()
    wait: float | None = None
    parsed: bool = True

    @property
    def label(self) -> str:
        """The vendor's most telling name for the error; empty where there is none."""
        return (
            self.reason or ("" if self.code.isdigit() else self.code) or self.kind or self.word or self.code
        )

    @property
    def cause(self) -> Cause:
        """What is the matter, by the first row that fits; else by the status alone."""
        for row in error_rows():
            if _fits(row, self):
                return Cause(row.cause)
        if self.status == 200:
            return Cause.SERVER if not self.label or _OURS.search(self.label) else Cause.REJECTED
        return Cause.SERVER if self.status >= 500 else Cause.REJECTED


def read(status: int, body: object, headers: Mapping[str, str] | None = None) -> VendorError:
    """What `body` tells, bytes or parsed; `headers` ignore case."""
    parsed = True
    if isinstance(body, bytes | str):
        try:
            body = load(body)
        except (ValueError, RecursionError):
            parsed = False
            body = body.decode(errors="replace") if isinstance(body, bytes) else body
    inner = _inner(body)
    if not isinstance(inner, dict):
        text = inner if isinstance(inner, str) else ""
        return _with_wait(VendorError(status, text[:_SHOWN], parsed=parsed), headers)
    metadata = inner["metadata"] if isinstance(inner.get("metadata"), dict) else {}
    details = list(_details(inner.get("details")))
    kind, code, word = (_word(inner.get(key)) for key in ("type", "code", "status"))
    kind = "" if kind == "error" else kind  # of the event that holds it, which names nothing
    reasons = [_word(detail.get(key)) for detail in details for key in ("reason", "error_code")]
    reasons.append(_word(metadata.get("limit_source")))
    if isinstance(inner.get("innererror"), dict):
        reasons.append(_word(inner["innererror"].get("code")))
    error = VendorError(
        status,
        _message(inner),
        kind,
        code,
        _word(inner.get("param")),
        word,
        next((reason for reason in reasons if reason), ""),
        frozenset(name.lower() for name in (kind, code, word, *reasons) if name),
        tuple(_quotas(details)),
        frozenset(map(str, metadata)),
        _retry_info(details),
        parsed,
    )
    return _with_wait(error, headers)


def failure_of(status: int, body: object, headers: Mapping[str, str] | None = None) -> ProviderError:
    """What a reply with a status other than 200 means."""
    return _failure(read(status, body, headers), msg("HTTP {status}: ", status=status))


def failure_in_200(body: object) -> ProviderError:
    """What an error means that came within an answer with status 200, so that the vendor bills the call.

    `body` is the document or the event of a stream that holds it, or the error itself. Its code may be an
    HTTP status.
    """
    error = read(200, body)
    if error.code.isdigit() and 400 <= int(error.code) < 600:
        error = read(int(error.code), body)
    failure = _failure(error, "")
    failure.began = True
    return failure


def _failure(error: VendorError, head: str) -> ProviderError:
    cause, label = error.cause, error.label
    message = error.message or msg("no message")
    if label and label not in message:
        message = msg("{message} ({label})", message=message, label=label)
    wait = MAX_RETRY_AFTER if cause is Cause.QUOTA else error.wait
    if advice(cause).kind is FailureKind.REFUSED:
        wait = None
    return ProviderError(advice(cause).kind, head + message, cause=cause, retry_after=wait)


def _fits(row: ErrorRow, error: VendorError) -> bool:
    message = " ".join(error.message.lower().split())
    return (
        (not row.status or error.status in row.status)
        and (not row.name or not error.names.isdisjoint(row.name))
        and (not row.quota or any(row.quota in quota for quota in error.quotas))
        and (not row.param or error.param.startswith(row.param))
        and (not row.keys or not error.metadata.isdisjoint(row.keys))
        and (row.json is None or row.json is error.parsed)
        and (not row.begins or message.startswith(row.begins))
        and (not row.ends or message.rstrip(".").endswith(row.ends))
        and (not row.words or any(words in f"{message} " for words in row.words))
    )


def _inner(body: object) -> object:
    """The error itself: `error` of a document, an OpenAI event's response, the first of Google's list."""
    if isinstance(body, list):
        body = body[0] if body else None
    if isinstance(body, dict):
        response = body.get("response")
        if isinstance(response, dict) and response.get("error"):
            return response["error"]
        if body.get("error"):
            error = body["error"]
            return error if isinstance(error, dict | str) else str(error)
    return body


def _message(inner: Mapping[str, Any]) -> str:
    for key in ("message", "Message", "detail", "msg"):
        value = inner.get(key)
        if isinstance(value, str) and value:
            return value
        if value:
            return str(value)[:_SHOWN]
    return ""


def _word(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _details(details: object) -> Iterator[Mapping[str, Any]]:
    """Google's list of details, or Anthropic's one."""
    for item in details if isinstance(details, list) else [details]:
        if isinstance(item, dict):
            yield item


def _quotas(details: list[Mapping[str, Any]]) -> Iterator[str]:
    for item in details:
        listed = item.get("violations")
        for violation in listed if isinstance(listed, list) else []:
            if isinstance(violation, dict) and violation.get("quotaId"):
                yield str(violation["quotaId"])


def _retry_info(details: list[Mapping[str, Any]]) -> float | None:
    """Seconds of a google.rpc.RetryInfo."""
    for item in details:
        if str(item.get("@type", "")).endswith("google.rpc.RetryInfo"):
            match = _SECONDS.fullmatch(str(item.get("retryDelay", "")))
            return float(match[1]) if match else None
    return None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), at most an hour.

    None where there is none or it can't be read. `retry-after-ms`, which OpenAI sends, goes before it.
    `headers` are looked up in lower case.
    """
    exact = headers.get("retry-after-ms", "")
    if re.fullmatch(r"\d{1,9}(\.\d+)?", exact):
        return min(float(exact) / 1000, MAX_RETRY_AFTER)
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,18}(\.\d+)?", value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - (now or datetime.now(UTC))).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _with_wait(error: VendorError, headers: Mapping[str, str] | None) -> VendorError:
    """`error` with the wait of its headers, else of its details, else of its message."""
    wait = retry_after(headers) if headers else None
    if wait is None:
        wait = error.wait
    if wait is None and error.status == 429:
        wait = _wait_in_words(error.message)
    return replace(error, wait=None if wait is None else min(wait, MAX_RETRY_AFTER))


def _wait_in_words(message: str) -> float | None:
    match = _IN_WORDS.search(message)
    if match is None:
        return None
    if match["ms"]:
        return float(match["ms"]) / 1000
    parts = [float(match[part] or 0) * size for part, size in (("h", 3600), ("m", 60), ("s", 1))]
    return sum(parts) or None
