"""Every piece of evidence that there could be, with a score: how unusual it is, and how near to the alert.

A score is between 0 and 1 and comparable between kinds: 0.5 is what a tired person would want to see.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from techsapo_ops.incidents.material import Change, Fact, Kind, Material, Subject
from techsapo_ops.incidents.patterns import Pattern, mined
from techsapo_ops.incidents.series import Movement, movements, names_in
from techsapo_ops.incidents.series_text import said

_SHOWN = 4
"""Readings of one group that are shown."""
_TROUBLE = re.compile(
    r"no space|out of memory|oom|killed|refused|denied|expired|timed? ?out|unreachable|exhaust|too many|limit|full"
    r"|corrupt|fatal|panic|segfault|permission|read-only|unknown|invalid|cannot|could not|unable|deadlock|abort"
    r"|maxmemory|misconf|certificate|unauthori[sz]ed|forbidden|revoked|not found|no such|失敗|エラー|拒否|期限|不足|容量|超過|停止",
    re.IGNORECASE,
)
"""Words with which programs complain of what they miss."""
_CHANGES = {
    "apply": 0.75,
    "event": 0.7,
    "oom": 0.85,
    "certificate": 0.6,
    "restart": 0.6,
    "drift": 0.65,
    "job": 0.5,
}
_SERVICE_LABELS = ("service", "job", "app", "unit", "name", "container", "target")
_HOST_LABELS = ("host", "instance", "node")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A piece of evidence that is not yet masked, cut or numbered."""

    kind: Kind
    source: str
    text: str
    score: float
    at: datetime | None = None
    service: str = ""
    host: str = ""
    sample: str = ""


def candidates(material: Material) -> Iterator[Candidate]:
    """The candidates of all kinds, in no order."""
    scale = _Scale(material)
    yield from _of_series(material, scale)
    yield from _of_lines(material, scale)
    yield from _of_changes(material, scale)
    yield from _of_facts(material, scale)
    yield from _of_pages(material, scale)
    for one in material.earlier:
        text = f"{one.at:%Y-%m-%d} {one.id}: {one.summary}. Cause, by a person: {one.cause}"
        yield Candidate("like", "incidents", text, 0.45, one.at)


class _Scale:
    """What the parts of a score are worth in this incident."""

    def __init__(self, material: Material) -> None:
        self.subject = material.subject
        self.began = material.subject.began.timestamp()
        self.before = max(1.0, self.began - material.start.timestamp())
        self.words = _words(f"{self.subject.summary} {self.subject.question}")

    def near(self, at: float | None) -> float:
        """1 for what began shortly before the alert, less for what is earlier, and for what followed it."""
        if at is None:
            return 0.7
        if at > self.began:
            return 0.85
        return 1 - 0.35 * min(1.0, (self.began - at) / self.before)

    def relation(self, service: str, host: str) -> float:
        """What it adds to be of a service or on a host that the alert names."""
        return 0.1 * (service in self.subject.services) + 0.04 * (host in self.subject.hosts)

    def named(self, text: str) -> float:
        """What it adds to hold words of the alert's summary or of the question."""
        return min(0.12, 0.04 * len(self.words & _words(text))) if self.words else 0.0


def _words(text: str) -> frozenset[str]:
    """Words of four letters and more, and pairs of Japanese characters."""
    low = text.lower()
    pairs = {
        run[n : n + 2]
        for run in re.findall(r"[\u30a0-\u30ff\u3400-\u9fff]+", low)
        for n in range(len(run) - 1)
    }
    return frozenset({*re.findall(r"[a-z][a-z0-9]{3,}", low), *pairs})


def _of_series(material: Material, scale: _Scale) -> Iterator[Candidate]:
    expression = names_in(material.subject.expression)
    groups: dict[tuple[str, str, str], list[tuple[float, Movement]]] = defaultdict(list)
    for one in movements(material):
        labels = one.reading.labels
        service, host = _service(labels, material.subject), _host(labels)
        named = any(name in expression for name in _names_of(one)) and _agrees(labels, material.subject)
        if one.how == "steady" and not one.weight and not named:
            continue
        score = 0.75 * one.weight * scale.near(one.at) + scale.relation(service, host)
        if named:
            score = max(score, 0.55) + 0.15
        stem = "alert" if named else one.how if one.how in {"began", "ended"} else _stem(one.reading.name)
        groups[service, host, stem].append((score, one))
    for (service, host, _), moved in groups.items():
        moved.sort(key=lambda pair: (-pair[0], pair[1].reading.name, sorted(pair[1].reading.labels.items())))
        best, first = moved[0]
        ats = [one.at for _, one in moved[:_SHOWN] if one.at is not None]
        at = datetime.fromtimestamp(min(ats), UTC) if ats else None
        text = said([one for _, one in moved[:_SHOWN]], len(moved) - _SHOWN)
        yield Candidate("metrics", "prometheus", text, best, at, service, host)


def _names_of(movement: Movement) -> tuple[str, ...]:
    name = movement.reading.name
    return (name, f"{name}_sum", f"{name}_count", f"{name}_bucket")


def _stem(name: str) -> str:
    """What related names begin with."""
    return "_".join(name.split("_")[:2])


def _agrees(labels: Mapping[str, str], subject: Subject) -> bool:
    return all(subject.labels.get(key, value) == value for key, value in labels.items())


def _service(labels: Mapping[str, str], subject: Subject) -> str:
    values = [labels[key] for key in _SERVICE_LABELS if labels.get(key)]
    return next((value for value in values if value in subject.services), values[0] if values else "")


def _host(labels: Mapping[str, str]) -> str:
    value = next((labels[key] for key in _HOST_LABELS if labels.get(key)), "")
    return value.rpartition(":")[0] or value


def _of_lines(material: Material, scale: _Scale) -> Iterator[Candidate]:
    for pattern in mined(material.lines):
        score, news = _pattern_score(pattern, scale)
        first, last = pattern.times[0], pattern.times[-1]
        times = f"{_clock(first)}" if first == last else f"{_clock(first)} to {_clock(last)}"
        level = f" {pattern.level}" if pattern.level else ""
        text = f"{len(pattern.times)}×{level}, {times}{news}\n{pattern.text}"
        at = datetime.fromtimestamp(first, UTC)
        yield Candidate("logs", "log", text, score, at, pattern.service, pattern.host, pattern.sample)


def _pattern_score(pattern: Pattern, scale: _Scale) -> tuple[float, str]:
    """How new the pattern is, how bad it sounds, and whose it is."""
    times = pattern.times
    calm = scale.began - 0.6 * scale.before
    early = sum(time < calm for time in times)
    before = sum(time < scale.began for time in times)
    rate = early / (0.4 * scale.before)
    later = (len(times) - early) / (0.6 * scale.before + max(0.0, times[-1] - scale.began))
    new = 1.0 if not early else max(0.0, min(0.8, 1 - rate / max(later, 1e-9)))
    news = ", new" if not early else f", {before} of them before the alert" if before else ""
    level = {"error": 0.2, "warning": 0.1, "": 0.0}[pattern.level]
    trouble = 0.12 if _TROUBLE.search(pattern.sample) else 0.0
    onset = times[0] if not early else scale.began
    score = (0.4 * new + level + trouble) * scale.near(onset)
    return score + scale.relation(pattern.service, pattern.host) + scale.named(pattern.sample), news


def _of_changes(material: Material, scale: _Scale) -> Iterator[Candidate]:
    alike: dict[tuple[str, str, str, str], list[Change]] = defaultdict(list)
    for one in sorted(material.changes, key=lambda change: (change.at, change.text, change.detail)):
        alike[one.kind, one.service, one.host, re.sub(r"\d+", "0", one.text)].append(one)
    for (kind, service, host, _), changes in alike.items():
        last = changes[-1]
        onset = changes[0].at.timestamp()
        bad = 0.15 if re.search(r"fail|error|status [1-9]|失敗", last.text) else 0.0
        often = 0.1 if len(changes) > 2 and kind in {"restart", "oom"} else 0.0
        routine = -0.15 if len(changes) > 2 and kind == "job" and not bad else 0.0
        score = (_CHANGES[kind] + bad + often + routine) * scale.near(onset) ** 1.5
        count = (
            f"{len(changes)}×, {_clock(onset)} to {_clock(last.at.timestamp())}: " if len(changes) > 1 else ""
        )
        text = f"{kind}: {count}{last.text}" + (f"\n{last.detail}" if last.detail else "")
        score += scale.relation(service, host) + scale.named(text)
        yield Candidate("changes", "changes", text, min(score, 0.99), changes[0].at, service, host)


def _of_facts(material: Material, scale: _Scale) -> Iterator[Candidate]:
    calm: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in material.facts:
        if fact.ok is False:
            score = 0.7 + scale.relation(fact.service, fact.host) + scale.named(fact.name)
            yield Candidate(
                "host", "facts", f"{fact.name}: {fact.value}", score, None, fact.service, fact.host
            )
        else:
            calm[fact.service if fact.service in scale.subject.services else "", fact.host].append(fact)
    for (service, host), facts in calm.items():
        lines = [f"{fact.name}: {fact.value}" for fact in facts]
        score = 0.3 + scale.relation(service, host)
        for text in _blocks(lines):
            yield Candidate("host", "facts", text, score, None, service, host)


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    """Lines together, in parts of some 1,200 characters."""
    block = ""
    for line in lines:
        if block and len(block) + len(line) > 1_200:
            yield block
            block = ""
        block += f"{line}\n"
    if block:
        yield block.rstrip()


def _of_pages(material: Material, scale: _Scale) -> Iterator[Candidate]:
    for number, page in enumerate(material.pages):
        kind: Kind = page.kind
        text = f"{page.file}: {page.heading}\n{page.text}"
        score = (0.5 if kind == "runbook" else 0.4) - 0.02 * min(number, 10) + scale.named(text)
        yield Candidate(kind, page.file, text, score)


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
