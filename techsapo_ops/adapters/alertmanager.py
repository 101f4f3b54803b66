"""Client for the HTTP API of Alertmanager (v2).

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from techsapo_ops.adapters.http import Answer, Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError, LastReload, MonitoringServer, document_of
from techsapo_ops.messages import msg

_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)(.*)", re.DOTALL)
T = TypeVar("T")
_SENT = re.compile(r"alertmanager_notification(s|s_failed|_requests|_requests_failed)_total\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as Alertmanager holds it; `state` is active, suppressed or unprocessed."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    silenced: bool
    """Whether it is suppressed by a silence; else a worse alert inhibits it."""
    receivers: tuple[str, ...]
    starts_at: datetime
    silenced_by: tuple[str, ...] = ()
    """Ids of the silences."""


@dataclass(frozen=True, slots=True)
class AlertmanagerStatus:
    """Version, loaded configuration (YAML) and cluster state (`disabled` without clustering)."""

    version: str
    config: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label."""

    name: str
    operator: str
    """One of =, !=, =~ and !~."""
    value: str

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """The matcher of `name=value` and the like; raises ValueError for anything else."""
        match = _MATCHER.fullmatch(text)
        if match is None:
            raise ValueError(
                msg(
                    "{text} is not a matcher; write e.g. instance=app-1 or reason=~scan|burst",
                    text=repr(text),
                )
            )
        name, operator, value = match.groups()
        if operator.endswith("~"):
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(
                    msg("{value} is not a regular expression: {error}", value=repr(value), error=error)
                ) from None
        return cls(name, operator, value)

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it matches `labels`; a label that is not there is an empty one."""
        value = labels.get(self.name, "")
        same = re.fullmatch(self.value, value) is not None if "~" in self.operator else value == self.value
        return same != self.operator.startswith("!")

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is told of what matches from `starts` to `ends`; `state` is active, pending or expired."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: datetime
    ends: datetime
    created_by: str
    comment: str
    state: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Notifications of one integration (webhook, slack, …) since Alertmanager started."""

    begun: int
    """Notifications of which at least one request was begun."""
    delivered: int
    """Requests that the receiver took."""
    failed: int
    """Requests that it refused, or that reached nobody. Most are tried again."""
    given_up: int
    """Notifications that are not tried again."""


class Alertmanager(MonitoringServer):
    """Its API."""

    def alerts(self) -> tuple[Alert, ...]:
        """All alerts that it holds, silenced and inhibited ones too."""
        return self._list("alerts", _alert)

    def post(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], starts: datetime, ends: datetime
    ) -> None:
        """Hand an alert over that fires from `starts` to `ends`; one that ends in the past is resolved."""
        # Without a beginning Alertmanager takes the end for it.
        times = {"startsAt": starts.isoformat(), "endsAt": ends.isoformat()}
        self._send("POST", "alerts", [{"labels": labels, "annotations": annotations, **times}])

    def silences(self) -> tuple[Silence, ...]:
        """All silences that it remembers, expired ones too."""
        return self._list("silences", _silence)

    def silence(
        self, matchers: Sequence[Matcher], starts: datetime, ends: datetime, created_by: str, comment: str
    ) -> str:
        """Silence what matches; the new silence's id."""
        answer = self._send(
            "POST",
            "silences",
            {
                "matchers": [
                    {
                        "name": m.name,
                        "value": m.value,
                        "isRegex": m.operator.endswith("~"),
                        "isEqual": not m.operator.startswith("!"),
                    }
                    for m in matchers
                ],
                "startsAt": starts.isoformat(),
                "endsAt": ends.isoformat(),
                "createdBy": created_by,
                "comment": comment,
            },
        )
        return str(document_of(answer)["silenceID"])

    def expire(self, silence: str) -> None:
        """End a silence now."""
        self._send("DELETE", f"silence/{silence}", None)

    def sent(self, receiver: str) -> Mapping[str, Sent]:
        """Notifications to `receiver` by integration, as its own metrics count them; to all receivers where
        these don't name them. Of several, what all of those sent that answer.

        A notification is counted before anything is sent: what arrived are the requests that did not fail.
        """
        text = self.fetch("metrics").text
        if len(self.urls) > 1:
            text = "\n".join(self._metrics())
        counted: dict[str, Counter[str]] = {}
        for what, labels, value in _SENT.findall(text):
            named = dict(_LABEL.findall(labels))
            if named.get("receiver_name", receiver) == receiver:
                counted.setdefault(named.get("integration", ""), Counter())[what] += int(float(value))
        return {name: _sent(counts) for name, counts in counted.items()}

    def _metrics(self) -> Iterator[str]:
        for one in self.each():
            with contextlib.suppress(Unreachable):
                yield one.fetch("metrics").text

    def status(self) -> AlertmanagerStatus:
        """Version, configuration and cluster state."""
        answer, document = self._get("status")
        if not isinstance(document, dict) or "versionInfo" not in document:
            raise ApiError(msg("{url}: not an answer from Alertmanager", url=answer.url))
        return AlertmanagerStatus(
            version=document["versionInfo"]["version"],
            config=document["config"]["original"],
            cluster=document["cluster"]["status"],
        )

    def reloaded(self) -> LastReload | None:
        """What it tells of its last reload; None where it does not."""
        return self.last_reload("alertmanager_config")

    def _list(self, path: str, read: Callable[[Any], T]) -> tuple[T, ...]:
        answer, document = self._get(path)
        try:
            if isinstance(document, list):
                return tuple(map(read, document))
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # an entry without what the API promises: as little an answer as no list
        raise ApiError(msg("{url}: not an answer from Alertmanager", url=answer.url))

    def _get(self, path: str) -> tuple[Answer, Any]:
        answer = _accepted(self.fetch(f"api/v2/{path}"))
        return answer, document_of(answer)

    def _send(self, method: str, path: str, value: Any) -> Answer:
        content = None if value is None else json.dumps(value).encode()
        return _accepted(self.send(f"api/v2/{path}", content, method=method))


def _accepted(answer: Answer) -> Answer:
    """`answer`; raises ApiError where its status is an error."""
    if answer.ok:
        return answer
    text = answer.text[:200].strip()
    raise ApiError(msg("{url}: HTTP {status}: {text}", url=answer.url, status=answer.status, text=text))


def _sent(counts: Mapping[str, int]) -> Sent:
    failed = counts["_requests_failed"]
    return Sent(counts["s"], counts["_requests"] - failed, failed, counts["s_failed"])


def _alert(value: Mapping[str, Any]) -> Alert:
    return Alert(
        labels=value["labels"],
        annotations=value["annotations"],
        state=value["status"]["state"],
        silenced=bool(value["status"]["silencedBy"]),
        receivers=tuple(receiver["name"] for receiver in value["receivers"]),
        starts_at=datetime.fromisoformat(value["startsAt"]).astimezone(UTC),
        silenced_by=tuple(value["status"]["silencedBy"]),
    )


def _silence(value: Mapping[str, Any]) -> Silence:
    return Silence(
        id=value["id"],
        matchers=tuple(_matcher(m) for m in value["matchers"]),
        starts=datetime.fromisoformat(value["startsAt"]).astimezone(UTC),
        ends=datetime.fromisoformat(value["endsAt"]).astimezone(UTC),
        created_by=value["createdBy"],
        comment=value["comment"],
        state=value["status"]["state"],
    )


def _matcher(value: Mapping[str, Any]) -> Matcher:
    equal = value.get("isEqual", True)
    operator = ("=~" if equal else "!~") if value["isRegex"] else ("=" if equal else "!=")
    return Matcher(value["name"], operator, value["value"])
