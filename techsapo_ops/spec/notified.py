"""Rules on who is told: receivers, the mail server, and when people are at work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from urllib.parse import urlsplit

from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.notifications import LIKE, EmailReceiver, RawReceiver, domains
from techsapo_ops.spec.problems import Context, Finding, Path, did_you_mean

_LATEST = 7 * 86400.0
"""Seconds after which nobody waits for the next receivers any more."""


def receiver_names(spec: Spec, context: Context) -> Iterator[Finding]:
    """Each receiver that is named is there, be it right or wrong itself."""
    known = context.given(("notifications", "receivers"))
    if known is None:
        known = spec.notifications.receivers
    if not isinstance(known, Mapping):
        return
    for where, names in spec.notifications.lists():
        below: Path = tuple(int(part) if part.isdigit() else part for part in where.split("."))
        for n, name in enumerate(names):
            if name not in known:
                yield Finding(
                    ("notifications", *below, n),
                    msg("there is no receiver {name} in notifications.receivers", name=name),
                    did_you_mean(name, map(str, known)),
                )


def receivers(spec: Spec, _: Context) -> Iterator[Finding]:
    """Each receiver has somewhere to send to, and what is said to be a URL is one."""
    for name, receiver in spec.notifications.receivers.items():
        path: Path = ("notifications", "receivers", name)
        if isinstance(receiver, EmailReceiver):
            if spec.notifications.smtp is None:
                yield Finding(
                    path,
                    msg("e-mail needs a mail server"),
                    msg("add `smtp: {{smarthost: HOST:PORT, sender: ADDRESS}}` to notifications"),
                    uses=(("notifications", "smtp"),),
                )
        elif isinstance(receiver, RawReceiver):
            continue
        elif receiver.url is None:
            yield Finding(
                path,
                msg("a {kind} receiver needs url or url_file", kind=receiver.kind),
                msg("prefer url_file: it keeps the URL out of the spec"),
            )
        elif why := no_url(receiver.url.reveal()):
            # Alertmanager reads it at the first alert, and says what is wrong in its log alone.
            key = "url" if receiver.url.file is None else "url_file"
            yield Finding(
                (*path, key), msg("is not a URL: {why}", why=why), msg("write only the URL, on one line")
            )


def no_url(text: str) -> str:
    """Why nothing can be sent to `text`, without a word of it, as it may be secret; "" for a URL of http or
    https. Blanks and line breaks around it do no harm.
    """
    url = text.strip()
    if "\n" in url:
        return msg("the value has more than one line")
    if re.search(r"\s", url):
        return msg("the value contains a space")
    if not re.match(r"https?://", url, re.IGNORECASE):
        return msg("the value does not start with https:// or http://")
    try:
        address = urlsplit(url)
        return "" if address.hostname and address.port != 0 else msg("the value has no host")
    except ValueError:
        return msg("the host or port is not valid")


def next_receivers(spec: Spec, _: Context) -> Iterator[Finding]:
    """Who is next is told later than those before, and something has to watch the time."""
    steps = spec.notifications.next
    for n, (before, step) in enumerate(pairwise(steps), 1):
        if seconds(step.after) <= seconds(before.after):
            yield Finding(
                ("notifications", "next", n, "after"),
                msg(
                    "{after} is not later than the previous entry's {before_after}",
                    after=step.after,
                    before_after=before.after,
                ),
                msg("order the entries by time"),
                uses=(("notifications", "next", n - 1, "after"),),
            )
    interval: Path = ("monitoring", "prometheus", "scrape_interval")
    evaluated = spec.monitoring.prometheus.scrape_interval
    for n, step in enumerate(steps):
        path: Path = ("notifications", "next", n, "after")
        if seconds(step.after) < 2 * seconds(evaluated):
            message = msg(
                "{after} is too short: the rules are evaluated every {evaluated}, and two "
                "evaluations are needed",
                after=step.after,
                evaluated=evaluated,
            )
            yield Finding(
                path, message, msg("use a longer time: people need to read the first message"), (interval,)
            )
        elif seconds(step.after) > _LATEST:
            yield Finding(
                path,
                msg("{after} is longer than 7d", after=step.after),
                msg("use a shorter time, so that the alert arrives in time to be useful"),
            )
    for kind in ("prometheus", "alertmanager"):
        if steps and not getattr(spec.monitoring, kind).enabled:
            yield Finding(
                ("notifications", "next"),
                msg("the stack runs no {kind}, so nobody is notified", kind=kind.capitalize()),
                msg("set monitoring.{kind}.enabled to true, or remove notifications.next", kind=kind),
                uses=(("monitoring", kind, "enabled"),),
            )


def smtp(spec: Spec, _: Context) -> Iterator[Finding]:
    """A mail password belongs to an account."""
    server = spec.notifications.smtp
    if server is not None and server.password is not None and server.username is None:
        yield Finding(("notifications", "smtp"), msg("has a password but no username"), msg("add `username`"))


def business_hours(spec: Spec, _: Context) -> Iterator[Finding]:
    """The hours begin before they end, in a time zone that there is."""
    hours = spec.notifications.business_hours
    if hours is None:
        return
    path: Path = ("notifications", "business_hours")
    if hours.start >= hours.end:
        yield Finding(
            (*path, "end"),
            msg("the end {end} is not after the start {start}", end=hours.end, start=hours.start),
            msg("hours can't span midnight; for the whole day, write 00:00 to 24:00"),
            uses=((*path, "start"),),
        )
    from zoneinfo import available_timezones

    zones = available_timezones()
    if zones and hours.timezone not in zones:
        hint = did_you_mean(hours.timezone, zones)
        yield Finding(
            (*path, "timezone"), msg("there is no time zone {timezone}", timezone=hours.timezone), hint
        )


def addresses(spec: Spec, _: Context) -> Iterator[Finding]:
    """Mail has one sender and receivers that are addresses: else it is refused when it is wanted most."""
    server = spec.notifications.smtp
    receivers = spec.notifications.receivers
    mailed = {name: receiver for name, receiver in receivers.items() if isinstance(receiver, EmailReceiver)}
    if server is None and not mailed:
        return
    if server is not None and len(domains(server.sender)) != 1:
        path: Path = ("notifications", "smtp", "sender")
        yield Finding(path, msg("is not an e-mail address"), msg("write e.g. techsapo@example.com"))
    for name, receiver in mailed.items():
        if not domains(receiver.to):
            yield Finding(
                ("notifications", "receivers", name, "to"),
                msg("is neither an e-mail address nor a list of e-mail addresses"),
                LIKE,
            )
