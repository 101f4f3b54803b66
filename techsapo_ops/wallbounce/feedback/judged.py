"""From what people said of answers to what can be learnt from: one analysis, one judgement, fair weights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.stores.labels.rows import AnsweredRequest, Label, Said
from techsapo_ops.wallbounce.verdict.record import Labelled, PanelRecord, loads

_WORTH: Mapping[Said, float] = {"right": 1.0, "partly": 0.5, "wrong": 0.0}
"""The others judge nothing: an answer that nobody used may be right."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One analysis, whoever got its answer, also from the cache: what it left behind, and the last label of
    each person about it.
    """

    record: PanelRecord
    requests: tuple[str, ...]
    """The requests that got its answer, the first one first."""
    time: datetime
    cost_usd: float
    simulated: bool
    labels: tuple[Label, ...] = ()

    @property
    def right(self) -> float | None:
        """How right people say it is, 0 to 1, each person alike; None where nobody could tell."""
        said = [_WORTH[label.label] for label in self.labels if label.label in _WORTH]
        return sum(said) / len(said) if said else None


def judged(rows: Iterable[AnsweredRequest]) -> tuple[Judged, ...]:
    """The analyses that `rows` are about, the newest first.

    Left out are damaged rows and those of another version's form, and all of a request id that stands for
    several analyses: a client may have chosen it twice, and then nobody knows which one its labels mean.
    """
    rows = tuple(rows)
    alike: dict[tuple[str, str], list[AnsweredRequest]] = defaultdict(list)
    analyses: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        alike[row.prompt_hash, row.panel].append(row)
        analyses[row.request_id].add((row.prompt_hash, row.panel))
    made = []
    for (_, panel), group in alike.items():
        sure = sorted((r for r in group if len(analyses[r.request_id]) == 1), key=lambda row: row.time)
        try:
            record = loads(panel)
        except ValueError:  # a ValidationError is one, too
            continue
        if sure:
            requests = tuple(dict.fromkeys(row.request_id for row in sure))
            cost, labels = sum(row.cost_usd for row in sure), _last(sure)
            made.append(Judged(record, requests, sure[0].time, cost, sure[0].simulated, labels))
    return tuple(sorted(made, key=lambda each: each.time, reverse=True))


def _last(rows: Iterable[AnsweredRequest]) -> tuple[Label, ...]:
    """The last label of each person."""
    said = {label.id: label for row in rows for label in row.labels}.values()
    return tuple({label.who: label for label in sorted(said, key=lambda each: (each.at, each.id))}.values())


def weights(counts: Mapping[str, int]) -> dict[str, float]:
    """What a label of each person counts, 0 to 1, by how many each one gave.

    One person's count for no more than those of all others together, so for half of what counts at most; one
    alone, whom nobody could outvote, is taken at their word.
    """
    whole = sum(counts.values())
    return {
        who: min(1.0, (whole - count) / count) if len(counts) > 1 else 1.0 for who, count in counts.items()
    }


def labelled(analyses: Iterable[Judged]) -> tuple[Labelled, ...]:
    """What confidence is learnt from: each analysis of real models that somebody judged, once.

    People who differ meet half way, weighed by what their labels count.
    """
    usable = [
        (each, [label for label in each.labels if label.label in _WORTH])
        for each in analyses
        if not each.simulated
    ]
    weight = weights(Counter(label.who for _, labels in usable for label in labels))
    return tuple(
        Labelled(
            each.record,
            _half(sum(weight[x.who] * _WORTH[x.label] for x in labels) / sum(weight[x.who] for x in labels)),
            max(x.at for x in labels),
            min(1.0, sum(weight[x.who] for x in labels)),
        )
        for each, labels in usable
        if labels
    )


def _half(value: float) -> float:
    """The nearest of 0, .5 and 1."""
    return int(2 * value + 0.5) / 2
