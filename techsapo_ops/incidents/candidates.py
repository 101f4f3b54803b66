"""Every piece of evidence that there could be, with a score: how unusual it is, and how near to the alert.

A score is between 0 and 1 and comparable between kinds: 0.5 is what a tired person would want to see.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from techsapo_ops.catalogue.translations import Language, in_language
from techsapo_ops.incidents.evidence import Piece
from techsapo_ops.incidents.labels import hosts_of, service_of
from techsapo_ops.incidents.material import Change, Fact, Material, Subject
from techsapo_ops.incidents.patterns import Pattern, mined
from techsapo_ops.incidents.series import Movement, movements, said, said_first, selectors
from techsapo_ops.messages import msg

_SHOWN = 4
"""Readings of one group that are shown."""
_MOST_TOGETHER = 12
"""Patterns whose lines came together that are one piece."""
_TROUBLE = re.compile(
    r"no space|out of memory|oom|killed|refused|denied|expired|timed? ?out|unreachable|exhaust|too many"
    r"|limit|full|corrupt|fatal|panic|segfault|permission|read-only|unknown|invalid|cannot|unable"
    r"|could not|deadlock|abort|maxmemory|misconf|certificate|unauthori[sz]ed|forbidden|revoked|not found"
    r"|no such|exited|terminated|stopped|started|shutting down|失敗|エラー|拒否|期限|不足|容量|超過|停止",
    re.IGNORECASE,
)
"""Words with which programs complain of what they miss."""
_RAISED = re.compile(r"^(?:Traceback|panic:|fatal\b|(?:\w+\.)*\w*(?:Error|Exception)\b)", re.IGNORECASE)
"""How a line begins that has no level, as the last one of a traceback."""
_CHANGES = {
    "apply": 0.75,
    "event": 0.7,
    "oom": 0.85,
    "certificate": 0.6,
    "restart": 0.6,
    "drift": 0.65,
    "job": 0.5,
}
_OOM_ELSEWHERE = 0.5
"""What is killed on a shared host for the memory of something that the alert does not name."""


def candidates(material: Material, language: Language) -> Iterator[Piece]:
    """The candidates of all kinds, in no order, for people who read `language`: pieces without an id, not yet
    masked or cut.
    """
    moved, patterns = movements(material), mined(material.lines)
    scale = _Scale(material, moved, patterns)
    yield from _of_series(moved, scale, language)
    yield from _of_lines(patterns, scale, language)
    yield from _of_changes(material, scale)
    yield from _of_facts(material, scale)
    for page in material.pages:
        text = f"{page.file}: {page.heading}\n{page.text}"
        score = (0.5 if page.kind == "runbook" else 0.4) + scale.named(text)
        yield Piece("", page.kind, page.file, text, score)
    for one in material.earlier:
        text = f"{one.at:%Y-%m-%d} {one.id}: {one.summary}. Cause, by a person: {one.cause}"
        yield Piece("", "like", "incidents", text, 0.45, one.at)


class _Scale:
    """What the parts of a score are worth in this incident.

    `onset` is when what the alert is about began to move, which is before `began` where alerts wait.
    """

    def __init__(self, material: Material, moved: Sequence[Movement], patterns: Sequence[Pattern]) -> None:
        self.subject = subject = material.subject
        self.start, self.began, self.end = (
            time.timestamp() for time in (material.start, subject.began, material.end)
        )
        self._words = _words(f"{subject.summary} {subject.question}")
        wanted = selectors(subject.expression)
        self.named_ones = {
            id(one)
            for one in moved
            if _agrees(one.reading.labels, subject.labels)
            and any(name in _names_of(one) and _agrees(one.reading.labels, labels) for name, labels in wanted)
        }
        ats = [
            one.at for one in moved if one.at is not None and id(one) in self.named_ones and one.weight > 0.4
        ]
        self.onset = min([*ats, self.began])
        services = {pattern.service for pattern in patterns} | {
            service_of(one.reading.labels, subject.services) for one in moved
        }
        said = Counter(
            (word, pattern.service)
            for pattern in patterns
            if pattern.times[-1] >= self.onset and pattern.level
            for word in set(re.findall(r"[\w-]+", pattern.sample.lower()))
        )
        self._blamed = {word for word, service in said if word in services and word != service}

    def near(self, at: float | None) -> float:
        """1 for what began shortly before the onset, less for what is earlier, and for what followed it."""
        if at is None:
            return 0.75
        span = max(1.0, self.onset - self.start)
        if at > self.onset:
            return 1 - 0.15 * min(1.0, (at - self.onset) / (0.1 * span))
        return 1 - 0.4 * min(1.0, (self.onset - at) / span)

    def news(self, times: Sequence[float]) -> tuple[float, float]:
        """How new it is what came at `times`, from 0 to 1, and since when it is.

        What came at the same rate all the time is old: the later ones are compared with what the earlier rate
        makes one expect, and with the scatter of such a count. Where there are no earlier ones, chance alone
        would have let all of them come so late with this probability.
        """
        span = self.onset - self.start
        calm = self.start + 0.6 * span
        early = sum(time < calm for time in times)
        late = len(times) - early
        if not early:
            rest = (self.end - times[0]) / max(1.0, self.end - self.start)
            return 1 - min(max(rest, 0.0), 1.0) ** late, times[0]
        expected = early * (max(times[-1], self.began) - calm) / (0.6 * span or 1)
        new = max(0.0, min(1.0, (late - expected) / (late + 2 * expected**0.5 or 1)))
        return new, times[early] if new > 0.5 else times[0]

    def elsewhere(self, service: str) -> bool:
        """Whether the alert names services, and neither it nor a log speaks of this one."""
        return bool(self.subject.services) and service not in {*self.subject.services, *self._blamed}

    def relation(self, service: str, host: str) -> float:
        """What it adds to be of a service or on a host that the alert names, or that others complain of."""
        related = 0.07 if service in self.subject.services else 0.06 if service in self._blamed else 0.0
        return related + 0.03 * (host in self.subject.hosts)

    def named(self, text: str) -> float:
        """What it adds to hold words of the alert's summary or of the question."""
        return min(0.09, 0.03 * len(self._words & _words(text))) if self._words else 0.0


def _words(text: str) -> frozenset[str]:
    """Words of four letters and more, and pairs of Japanese characters."""
    low = text.lower()
    pairs = {
        run[n : n + 2]
        for run in re.findall(r"[\u30a0-\u30ff\u3400-\u9fff]+", low)
        for n in range(len(run) - 1)
    }
    return frozenset({*re.findall(r"[a-z][a-z0-9]{3,}", low), *pairs})


def _of_series(moved: Sequence[Movement], scale: _Scale, language: Language) -> Iterator[Piece]:
    """Series whose names begin alike are one piece, and so are those of a service that began or ended."""
    groups: dict[tuple[str, str], list[tuple[float, Movement]]] = defaultdict(list)
    for one in moved:
        service, host = _where(one.reading.labels, scale.subject)
        named = id(one) in scale.named_ones
        if not one.weight and not named:
            continue
        score = 0.8 * one.weight * scale.near(one.at) + scale.relation(service, host)
        if named:
            score = max(score, 0.55) + 0.15
        key = (one.how, service) if one.how in {"began", "ended"} else (one.reading.name, "")
        groups[key].append((score, one))
    for pairs in groups.values():
        pairs.sort(key=lambda pair: (-pair[0], pair[1].reading.name, sorted(pair[1].reading.labels.items())))
        shown = [one for _, one in pairs[:_SHOWN]]
        ats = [one.at for one in shown if one.at is not None]
        at = datetime.fromtimestamp(min(ats), UTC) if ats else None
        labels = shown[0].reading.labels
        yield Piece(
            "", "metrics", "prometheus", said(shown, len(pairs) - _SHOWN), pairs[0][0], at,
            *_where(labels, scale.subject), first=said_first(shown, language),
        )  # fmt: skip


def _names_of(movement: Movement) -> tuple[str, ...]:
    name = movement.reading.name
    return (name, f"{name}_sum", f"{name}_count", f"{name}_bucket")


def _agrees(labels: Mapping[str, str], others: Mapping[str, str]) -> bool:
    return all(others.get(key, value) == value for key, value in labels.items())


def _where(labels: Mapping[str, str], subject: Subject) -> tuple[str, str]:
    """The service and the host that a series is of."""
    return service_of(labels, subject.services), next(iter(hosts_of(labels)), "")


def _of_lines(patterns: Sequence[Pattern], scale: _Scale, language: Language) -> Iterator[Piece]:
    """Patterns whose lines came together, as a traceback's, are one piece."""
    for group in _together(patterns):
        scores = [_pattern_score(pattern, scale) for pattern in group]
        best = group[max(range(len(group)), key=scores.__getitem__)]
        counted = _counted(best, scale)
        text = "\n".join([counted, *(pattern.text for pattern in group)])
        sample = "\n".join(pattern.sample for pattern in group)
        at = datetime.fromtimestamp(min(pattern.times[0] for pattern in group), UTC)
        yield Piece(
            "", "logs", "log", text, max(scores), at, best.service, best.host, sample,
            first=in_language(counted, language),
        )  # fmt: skip


def _together(patterns: Sequence[Pattern]) -> list[list[Pattern]]:
    """Patterns of a service whose lines came within a second of each other."""
    open_ones: dict[tuple[str, str, int], tuple[list[float], list[Pattern]]] = {}
    groups: list[list[Pattern]] = []
    for pattern in patterns:
        bursts = _bursts(pattern.times)
        key = (pattern.service, pattern.host, len(bursts))
        times, group = open_ones.get(key, ([], []))
        if group and len(group) < _MOST_TOGETHER and all(map(_near, times, bursts)):
            if re.search(r"\w", pattern.text):
                group.append(pattern)
        else:
            open_ones[key] = bursts, [pattern]
            groups.append(open_ones[key][1])
    return groups


def _bursts(times: Sequence[float]) -> list[float]:
    """When lines began to come, after half a second without."""
    return [b for a, b in pairwise((-math.inf, *times)) if b - a > 0.5]


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1


def _counted(pattern: Pattern, scale: _Scale) -> str:
    """How often and when lines of a pattern came."""
    times = _clock(pattern.times[0], pattern.times[-1])
    many = f"{len(pattern.times)}× {pattern.level}".rstrip()
    if before := sum(time < scale.onset for time in pattern.times):
        return msg(
            "{many}, {times}, {before} of them before the onset", many=many, times=times, before=before
        )
    return msg("{many}, {times}, none before", many=many, times=times)


def _pattern_score(pattern: Pattern, scale: _Scale) -> float:
    """How new the pattern is, how bad it sounds, and whose it is."""
    new, onset = scale.news(pattern.times)
    level = 0.2 if pattern.level == "error" or _RAISED.search(pattern.sample) else 0.1 * bool(pattern.level)
    trouble = 0.12 if _TROUBLE.search(pattern.sample) else 0.0
    score = (0.45 * new + (level + trouble) * (0.4 + 0.6 * new)) * scale.near(onset)
    return score + scale.relation(pattern.service, pattern.host) + scale.named(pattern.sample)


def _of_changes(material: Material, scale: _Scale) -> Iterator[Piece]:
    """Changes; those that differ in numbers alone, as runs of a job, are one piece."""
    alike: dict[tuple[str, str, str, str], list[Change]] = defaultdict(list)
    for one in sorted(material.changes, key=lambda change: (change.at, change.text, change.detail)):
        alike[one.kind, one.service, one.host, re.sub(r"\d+", "0", one.text)].append(one)
    for (kind, service, host, _), changes in alike.items():
        first, last = changes[0].at.timestamp(), changes[-1]
        new, onset = scale.news([change.at.timestamp() for change in changes])
        elsewhere = kind == "oom" and service and scale.elsewhere(service)
        score = (_OOM_ELSEWHERE if elsewhere else _CHANGES[kind]) * (0.6 + 0.4 * new) * scale.near(onset)
        count = f"{len(changes)}×, {_clock(first, last.at.timestamp())}: " if len(changes) > 1 else ""
        text = f"{kind}: {count}{last.text}" + (f"\n{last.detail}" if last.detail else "")
        score += scale.relation(service, host) + scale.named(text)
        yield Piece("", "changes", "changes", text, min(score, 0.99), changes[0].at, service, host)


def _of_facts(material: Material, scale: _Scale) -> Iterator[Piece]:
    calm: dict[str, list[Fact]] = defaultdict(list)
    for fact in material.facts:
        if fact.ok is False:
            score = 0.7 + scale.relation(fact.service, fact.host) + scale.named(fact.name)
            yield Piece(
                "", "host", "facts", f"{fact.name}: {fact.value}", score, None, fact.service, fact.host
            )
        else:
            calm[fact.host].append(fact)
    for host, facts in calm.items():
        lines = [f"{fact.name}: {fact.value}" for fact in facts]
        for text in _blocks(lines):
            yield Piece("", "host", "facts", text, 0.3, None, "", host, calm=True)


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    """Lines together, in parts of some 1,200 characters."""
    block = ""
    for line in lines:
        if block and len(block) + len(line) > 1_200:
            yield block.rstrip()
            block = ""
        block += f"{line}\n"
    if block:
        yield block.rstrip()


def _clock(first: float, last: float) -> str:
    begin, end = (f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%SZ}" for seconds in (first, last))
    return begin if first == last else msg("{begin} to {end}", begin=begin, end=end)
