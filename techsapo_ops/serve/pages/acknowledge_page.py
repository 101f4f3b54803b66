"""/alerts/NAME/acknowledge: where the link in a message leads. It asks first; only its form acknowledges.

Programs open links: previews of chats, scanners of mail. So a GET changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.catalogue.yaml_text import packaged_yaml
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.auth import SignIn
from techsapo_ops.serve.http.hosts import SameOrigin
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.pages.acknowledgements import Acknowledgements, Fires
from techsapo_ops.serve.pages.pages import page_language, page_of
from techsapo_ops.services.alertmanager.acknowledging import (
    LONGEST_NAME,
    Acknowledgement,
    Claim,
    Episode,
    NotStored,
    Taken,
    Unfit,
)
from techsapo_ops.services.alertmanager.signing import signed_start
from techsapo_ops.services.alertmanager.silencing import HOURS, LONGEST_COMMENT, moment_text

log = structlog.get_logger()

PATH = "/alerts/{name}/acknowledge"
_USUAL_HOURS = 8
_LONGEST_FORM = 16_384
_MOST_FIELDS = 200
_MINUTE = 60.0


class Attempts:
    """So many a minute of `each` client, and so many of all `together`, which bounds what is remembered."""

    def __init__(self, each: int, together: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = each
        self._together = together
        self._clock = clock
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def count(self, client: str) -> None:
        """One more. Raises Problem (429) where it is one too many."""
        now = self._clock()
        if int(now / _MINUTE) != self._minute:
            self._minute = int(now / _MINUTE)
            self._counts.clear()
        if self._counts[client] >= self._each or self._counts.total() >= self._together:
            wait = _MINUTE - now % _MINUTE
            raise Problem(
                429, "rate_limited", msg("too many attempts, try again in a minute"), retry_after=wait
            )
        self._counts[client] += 1


@dataclass(frozen=True, slots=True)
class Door:
    """Who is let in to acknowledge: `key` gives the key of the signatures, None where there is none now.

    Guesses and requests that are signed are counted apart, else strangers would use up responders' tries.
    """

    project: str
    key: Callable[[], bytes | None]
    origins: SameOrigin
    sign_in: SignIn
    guesses: Attempts = field(default_factory=lambda: Attempts(30, 300))
    signed: Attempts = field(default_factory=lambda: Attempts(30, 300))

    def start(self, client: str, alert: str, signature: str) -> int | None:
        """When the alert began that the signature is for, in Unix seconds; None where it is no signature of
        the alert. Raises Problem where a client tries too often.
        """
        key = self.key()
        start = signed_start(signature, key, self.project, alert) if key is not None else None
        (self.guesses if start is None else self.signed).count(client)
        return start


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """What the page says, by language."""
    table: dict[str, dict[str, str]] = packaged_yaml("acknowledge_page.yaml", "techsapo_ops.serve")
    return table


def key_in(file: Path | None) -> Callable[[], bytes | None]:
    """What reads the key in `file`, each time: without the file no link works any more."""

    def read() -> bytes | None:
        try:
            return file.read_bytes().strip() or None if file is not None else None
        except FileNotFoundError:
            return None

    return read


@dataclass(frozen=True, slots=True)
class Form:
    """What the form was filled in with."""

    signature: str
    by: str
    hours: int | None
    """None for what the form does not offer."""
    comment: str
    take_over: bool
    chosen: frozenset[str]

    @classmethod
    def empty(cls, signature: str) -> Form:
        """As somebody gets it who opens the link."""
        return cls(signature, "", _USUAL_HOURS, "", False, frozenset())

    @classmethod
    def read(cls, body: bytes) -> Form:
        """Of a body in the form of forms: what is missing or malformed is empty, and all of one too long."""
        text = body.decode("utf-8", "replace")
        fields = parse_qs(text) if len(body) <= _LONGEST_FORM and text.count("&") < _MOST_FIELDS else {}
        first = {name: values[0] for name, values in fields.items()}
        hours = first.get("hours", str(_USUAL_HOURS))
        known = hours.isascii() and hours.isdigit() and len(hours) < 4 and int(hours) in HOURS
        return cls(
            first.get("signature", ""),
            " ".join(first.get("by", "").split()),
            int(hours) if known else None,
            " ".join(first.get("comment", "").split()),
            "take_over" in first,
            frozenset(fields.get("of", ())),
        )


def acknowledge_routes(locale: str, door: Door, acknowledgements: Acknowledgements | None) -> APIRouter:
    """The routes of the page; `acknowledgements` is None without Prometheus or Alertmanager."""
    router = APIRouter(include_in_schema=False)
    pages = _Pages(locale, door, acknowledgements)
    # One route for all: of several, the first alone says which methods there are.
    router.add_api_route(PATH, pages.answer, methods=["GET", "HEAD", "POST"])
    return router


@dataclass(frozen=True, slots=True)
class _Pages:
    locale: str
    door: Door
    acknowledgements: Acknowledgements | None

    async def answer(self, request: Request, name: str) -> Response:
        """A form that was sent is taken; everything else only asks."""
        return await (self.take if request.method == "POST" else self.ask)(request, name)

    async def ask(self, request: Request, name: str) -> Response:
        """The form; nothing is changed."""
        signature = request.query_params.get("signature", "")
        start = self.door.start(str(request.state.client), name, signature)
        if start is None:
            return self._refused(request, name)
        return await self._form(request, name, start, Form.empty(signature))

    async def take(self, request: Request, name: str) -> Response:
        """Acknowledge what the form says."""
        await self.door.origins.check(request)
        body = await request.body()
        form = Form.read(body)
        start = self.door.start(str(request.state.client), name, form.signature)
        if start is None:
            return self._refused(request, name)
        if form.hours is None:
            return await self._form(request, name, start, form, error="unfit_hours", status=422)
        until = datetime.now(UTC) + timedelta(hours=form.hours)
        try:
            claim = self._claim(request, form, until)
            firing = await asyncio.to_thread(self._of, name)
            wanted = [each.episode for each in firing if _digest(each.episode) in form.chosen]
            if not wanted or not _holds(start, firing):
                return await self._form(request, name, start, form, error="none", status=422)
            made = await asyncio.to_thread(self._take, wanted, claim)
        except Unfit as error:
            return await self._form(request, name, start, form, error=f"unfit_{error.field}", status=422)
        except Taken:
            return await self._form(request, name, start, form, error="taken", status=409)
        except NotStored:
            return await self._form(request, name, start, form, error="not_stored", status=503)
        except (Unreachable, ApiError) as error:
            return self._unknown(request, name, error)
        of = [each.episode.of for each in made]
        log.info(
            "Alert acknowledged",
            alert=name,
            by=claim.recorded,
            of=of,
            until=until.isoformat(),
            **_from(request),
        )
        return self._page(request, name, "done", done=[_done(each) for each in made])

    def _claim(self, request: Request, form: Form, until: datetime) -> Claim:
        """In the name of who signed in. Where nobody can, in the one that was written, marked as such."""
        signed_in = self.door.sign_in.user(request)
        if signed_in is not None:
            return Claim(signed_in, until, form.comment, form.take_over)
        mark = words()[self.locale]["unverified"]
        return Claim(form.by, until, form.comment, form.take_over, mark)

    def _of(self, name: str) -> list[Fires]:
        return [] if self.acknowledgements is None else self.acknowledgements.of(name)

    def _take(self, wanted: Sequence[Episode], claim: Claim) -> tuple[Acknowledgement, ...]:
        return () if self.acknowledgements is None else self.acknowledgements.take(wanted, claim)

    async def _form(
        self, request: Request, name: str, start: int, form: Form, *, error: str = "", status: int = 200
    ) -> Response:
        try:
            firing = await asyncio.to_thread(self._of, name)
        except (Unreachable, ApiError) as trouble:
            return self._unknown(request, name, trouble)
        if not firing:
            return self._page(request, name, "over")
        if not _holds(start, firing):
            return self._page(request, name, "expired", 410)
        # What fires anew was not there to be chosen.
        chosen = form.chosen & {_digest(each.episode) for each in firing} or None
        rows = [_row(each, number, chosen) for number, each in enumerate(firing)]
        user = self.door.sign_in.user(request) or ""
        values = {"rows": rows, "form": form, "user": user, "error": error}
        return self._page(request, name, "title", status, **values)

    def _refused(self, request: Request, name: str) -> Response:
        known = {"alert": name[:LONGEST_NAME], **_from(request)}
        log.info("Link to acknowledge an alert refused", refused="signature", **known)
        return self._page(request, name, "forged", 403)

    def _unknown(self, request: Request, name: str, error: Unreachable | ApiError) -> Response:
        log.warning("An alert can't be acknowledged by its page", error=error.message)
        return self._page(request, name, "unknown", 503)

    def _page(self, request: Request, name: str, kind: str, status: int = 200, **values: object) -> Response:
        alert = name if kind != "forged" else ""
        known = {
            "kind": kind,
            "alert": alert,
            "texts": words().items(),
            "all_hours": HOURS,
            "mark": words()[self.locale]["unverified"],
            "longest": {"name": LONGEST_NAME, "comment": LONGEST_COMMENT},
        }
        locale = page_language(request, self.locale)
        content, media_type, _ = page_of("acknowledge", locale, **{**known, **values})
        return Response(content, status, media_type=media_type)


def _from(request: Request) -> dict[str, str]:
    """Where a request came from, for the log."""
    return {"client": str(request.state.client), "requestId": str(request.state.request_id)}


def _holds(start: int, firing: Sequence[Fires]) -> bool:
    """Whether a link of that start does: of what went on then, something still does."""
    now = datetime.now(UTC).timestamp()
    return any(each.went_on_at(start, now) for each in firing)


def _digest(episode: Episode) -> str:
    """What stands for an episode in the form: of another one, even of the same series, it is another."""
    parts = (episode.since, *(f"{k}={v}" for k, v in sorted(episode.labels.items())))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _row(fires: Fires, number: int, chosen: Collection[str] | None) -> dict[str, object]:
    episode, held = fires.episode, fires.held
    holder = None
    if held is not None:
        holder = {"by": held.by, "at": moment_text(held.at), "comment": held.own_comment}
    return {
        "of": episode.of or episode.alert,
        "since": moment_text(fires.since),
        "holder": holder,
        "value": _digest(episode),
        "checked": chosen is None or _digest(episode) in chosen,
        "number": number,
    }


def _done(made: Acknowledgement) -> dict[str, str]:
    return {"by": made.by, "of": str(made.episode), "until": moment_text(made.until)}
