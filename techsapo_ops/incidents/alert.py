"""An alert as somebody tells of it, bounded, and what it is about by its labels. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.alerts import DRILL_LABEL, PAGE, WATCHDOG
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.incidents.labels import Watched, hosts_of, services_of
from techsapo_ops.services.alertmanager.configuration import REPORT
from techsapo_ops.services.alertmanager.routes import TEST_LABEL
from techsapo_ops.stores.incidents.rows import COLUMN

MOST_LABELS = 64
LONGEST_LABEL = 500
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReportedAlert:
    """An alert that somebody tells of: it fires since `began`, or fired until `ended`.

    Its texts are data: bounded, on one line, and harmless. `subjects` are what it is about, by which it joins
    others: `service:shop`, `host:db1`, `group:…`.
    """

    labels: Mapping[str, str]
    began: datetime
    ended: datetime | None = None
    summary: str = ""
    expression: str = ""
    subjects: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "")

    @property
    def fingerprint(self) -> str:
        """What tells its series from every other one."""
        text = json.dumps(sorted(self.labels.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def pages(self) -> bool:
        """Whether it wakes people: by this stack's label, or by a severity of that name."""
        return self.labels.get(PAGE) == "true" or self.labels.get("severity") == PAGE

    @property
    def counts(self) -> bool:
        """Whether it tells of trouble: a sign of life, a report, a test and a drill do not, nor does what is
        sent once more for the next receivers.
        """
        aside = self.name in {"", WATCHDOG, REPORT} or self.labels.get(DRILL_LABEL) == "true"
        return not (aside or self.labels.get(TEST_LABEL) or self.labels.get(NEXT))


@dataclass(frozen=True, slots=True)
class Listener:
    """Takes alerts as they come, all of one `group` of Alertmanager where they come in one.

    `watched` has the services of the team, and of each the labels that its alerts carry.
    """

    watched: Watched = field(default_factory=dict)
    group: str = ""

    def reported(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        began: datetime,
        ended: datetime | None,
        source: str,
    ) -> ReportedAlert:
        """An alert as it came; its generatorURL, `source`, has the expression if it is of Prometheus."""
        kept = list(labels.items())[:MOST_LABELS]
        known = {one_line(k, LONGEST_LABEL): one_line(v, LONGEST_LABEL) for k, v in kept}
        summary = annotations.get("summary") or annotations.get("description") or ""
        subjects = {f"service:{name}" for name in services_of(known, self.watched)}
        subjects |= {f"host:{name}" for name in hosts_of(known)}
        if self.group:
            subjects.add(f"group:{hashlib.sha256(self.group.encode(errors='replace')).hexdigest()[:16]}")
        return ReportedAlert(
            known,
            max(began, _EARLIEST),
            ended,
            one_line(summary, COLUMN["summary"]),
            one_line(_expression(source), COLUMN["expression"]),
            frozenset(subjects or {f"alert:{known.get('alertname', '')}"}),
        )


def one_line(text: str, longest: int) -> str:
    """`text` from a stranger on one line, without what acts on a terminal, and no longer than that."""
    return " ".join(harmless(text[: 4 * longest]).split())[:longest]


def _expression(source: str) -> str:
    try:
        return parse_qs(urlsplit(source).query).get("g0.expr", [""])[0]
    except ValueError:
        return ""
