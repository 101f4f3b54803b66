"""What an ACME server's refusals mean to the person who has to act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.messages import joined, msg

_SKEW = timedelta(minutes=5)

_HINTS = {
    "accountDoesNotExist": msg("the account is made anew at the next attempt"),
    "badCSR": msg("look at `names` of the certificate in the spec"),
    "caa": msg("a CAA record of the domain allows other CAs only: add this one to it"),
    "connection": msg("the CA must reach this host from outside on port 80: check firewall and DNS"),
    "dns": msg("check the domain's name servers; the name must resolve for the whole world"),
    "dnssec": msg("check the domain's DNSSEC signatures"),
    "externalAccountRequired": msg("the certificate needs `eab_key_id` and `eab_hmac_key_file` in the spec"),
    "invalidContact": msg("look at `contact` of the certificate in the spec"),
    "unsupportedContact": msg("`contact` must be an e-mail address"),
    "rejectedIdentifier": msg("this CA does not issue for that name: check its spelling"),
    "unauthorized": msg("the name must lead to this stack's nginx from outside, on port 80"),
    "incorrectResponse": msg(
        "something else than this stack's nginx answers for the name: check DNS and proxies"
    ),
    "malformed": msg("check `directory` in the spec"),
    "serverInternal": msg("the CA has trouble of its own: try later"),
    "tls": msg("check what listens on the name's port 443"),
    "alreadyRevoked": msg("nothing is left to do"),
    "alreadyReplaced": msg("another host renewed this certificate already"),
    "unsupportedIdentifier": msg("this CA does not issue for names of that kind"),
}


def explain(host: str, code: str, detail: str, retry_at: datetime | None) -> tuple[str, str]:
    """Message and hint for the refusal `code` (RFC 8555, 6.7) of the server `host`."""
    if code == "rateLimited":
        until = (
            msg("; it may be asked again at {retry_at:%Y-%m-%d %H:%M:%S} UTC", retry_at=retry_at)
            if retry_at
            else ""
        )
        hint = (
            msg("`techsapo certs renew` waits until then by itself")
            if retry_at
            else msg("try again in an hour")
        )
        return (
            msg(
                "{host} has had enough requests of this kind: {detail}{until}",
                host=host,
                detail=detail,
                until=until,
            ),
            msg(
                "{hint}; Let's Encrypt's staging `directory` tries things out without using up the limits",
                hint=hint,
            ),
        )
    return msg(
        "{host} refuses: {detail} ({code})", host=host, detail=detail, code=code or msg("no code")
    ), _HINTS.get(code, "")


def clock_hint(skew: timedelta) -> str:
    """What to do about a clock that is `skew` ahead of the CA's; "" while that does no harm."""
    if abs(skew) < _SKEW:
        return ""
    which = msg("ahead of") if skew > timedelta(0) else msg("behind")
    minutes = abs(skew) / timedelta(minutes=1)
    return msg(
        "this host's clock is {minutes:.0f} minutes {which} the CA's: set it, then try again",
        minutes=minutes,
        which=which,
    )


def words(problem: Mapping[str, Any]) -> str:
    """An RFC 9457 problem in the server's own words, sub-problems included."""
    found = [
        str(problem.get("detail") or problem.get("title") or problem.get("type") or msg("no reason given"))
    ]
    for part in problem.get("subproblems") or ():
        name = (part.get("identifier") or {}).get("value", "")
        found.append(f"{name}: {words(part)}" if name else words(part))
    return joined("; ", found)


def reason(error: BaseException) -> str:
    """Why a connection failed, found below the layers of requests and urllib3."""
    inner = error
    while True:
        below = getattr(inner, "reason", None)
        if not isinstance(below, BaseException):
            below = inner.args[0] if inner.args else None
        if not isinstance(below, BaseException):
            return os_reason(inner) or str(inner)[:200]
        inner = below
