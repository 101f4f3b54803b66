"""Samples written for Prometheus, each series anew only after it changed.

The Python client takes some 60 ms for 5,000 samples, and whoever else wants to run has to wait for its turn.
Most series have not changed since the last scrape: their lines are kept. All come from the client's encoders.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import inf

from prometheus_client import Counter, exposition
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from techsapo_ops.catalogue.metrics import Metric


@dataclass(frozen=True)
class Format:
    """One of the formats in which Prometheus reads samples."""

    content_type: str
    encode: Callable[[Collector], bytes]

    def head(self, family: Family) -> bytes:
        """The lines that tell what `family` is."""
        return self._body(Family(family.name, family.documentation, family.type))

    def lines(self, family: Family) -> bytes:
        """The lines of the samples of `family`."""
        return self._body(family)[len(self.head(family)) :]

    def _body(self, *families: Family) -> bytes:
        return self.encode(_Families(families)).removesuffix(self.tail)

    @cached_property
    def tail(self) -> bytes:
        """What ends a whole document."""
        return self.encode(_Families(()))


TEXT = Format(exposition.CONTENT_TYPE_PLAIN_0_0_4, exposition.generate_latest)
OPENMETRICS = Format(openmetrics.CONTENT_TYPE_LATEST, openmetrics.generate_latest)
"""The one that has exemplars."""


def accepted(accept: str) -> Format:
    """The format for an Accept header; every reader of metrics understands the older one.

    The client's own choice answers a version that is no number with an error.
    """
    wanted = (choice.partition(";")[0].strip().lower() for choice in accept.split(","))
    formats = {"application/openmetrics-text": OPENMETRICS, "text/plain": TEXT}
    return next((formats[kind] for kind in wanted if kind in formats), TEXT)


@dataclass(frozen=True)
class _Families(Collector):
    families: Iterable[Family]

    def collect(self) -> Iterable[Family]:
        """The families that were given."""
        return self.families


class _Child:
    """The samples of one set of labels, and their lines in each format.

    Whoever changes a value replaces `_written` afterwards. A scrape takes the mapping before it reads the
    values: lines that were read too early are then kept in a mapping that is gone.
    """

    def __init__(self, collect: Callable[[], Iterable[Family]], labels: Mapping[str, str]) -> None:
        self.labels = labels
        self._collect = collect
        self._written: dict[str, bytes] = {}

    def family(self) -> Family:
        """The samples now."""
        (bare,) = self._collect()
        family = Family(bare.name, bare.documentation, bare.type)
        for sample in bare.samples:
            labels = {**self.labels, **sample.labels}
            family.add_sample(sample.name, labels, sample.value, None, sample.exemplar)
        return family

    def lines(self, wanted: Format) -> bytes:
        """The lines of the samples now."""
        kept = self._written
        found = kept.get(wanted.content_type)
        if found is None:
            found = kept[wanted.content_type] = wanted.lines(self.family())
        return found


class CounterChild(_Child):
    """A counter with one set of labels."""

    def __init__(self, metric: Metric, labels: Mapping[str, str]) -> None:
        self._counter = Counter(metric.name, metric.help, registry=None)
        super().__init__(self._counter.collect, labels)

    def inc(self, amount: float = 1) -> None:
        """Add `amount`, which is not negative."""
        self._counter.inc(amount)
        self._written = {}

    def value(self) -> float:
        """What was counted so far."""
        return self.family().samples[0].value


class HistogramChild(_Child):
    """A histogram with one set of labels.

    An analysis observes fifteen values, for which the client's own class takes six times as long.
    """

    def __init__(self, metric: Metric, labels: Mapping[str, str]) -> None:
        super().__init__(self._families, labels)
        self._metric = metric
        self._bounds = [*map(float, metric.buckets), inf]
        self._written_bounds = [str(floatToGoString(b)) for b in self._bounds]  # type: ignore[no-untyped-call]
        self._counts = [0] * len(self._bounds)
        self._exemplars: list[Exemplar | None] = [None] * len(self._bounds)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float, exemplar: dict[str, str]) -> None:
        """Count `value`; `exemplar` becomes that of its bucket."""
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value
            self._exemplars[bucket] = Exemplar(exemplar, value, time.time())
        self._written = {}

    def _families(self) -> Iterable[Family]:
        name = self._metric.name
        family = Family(name, self._metric.help, "histogram")
        with self._lock:
            counts, total, exemplars = [*self._counts], self._sum, [*self._exemplars]
        for written, count, exemplar in zip(self._written_bounds, accumulate(counts), exemplars, strict=True):
            family.add_sample(f"{name}_bucket", {"le": written}, float(count), None, exemplar)
        family.add_sample(f"{name}_count", {}, float(sum(counts)))
        family.add_sample(f"{name}_sum", {}, total)
        return (family,)
