"""The series of catalogue/metrics.yaml: what counts, what is read when asked, figures of the last minutes."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import accumulate
from typing import TypeVar

import prometheus_client
from prometheus_client import Counter, Histogram, ProcessCollector, exposition
from prometheus_client.metrics_core import GaugeMetricFamily, UntypedMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from techsapo_ops.catalogue.series import metrics
from techsapo_ops.serve.metrics.tracing import exemplar_ids

Sample = tuple[Mapping[str, str], float]
Read = Callable[[], Iterable[Sample]]
M = TypeVar("M", Counter, Histogram)
Format = tuple[Callable[[Collector], bytes], str]
"""The client's encoder of a format, and its content type."""
EXEMPLAR_LIMIT = 128
"""Most characters of an exemplar's labels, names included (OpenMetrics 1.0, section 4.6)."""
_EXEMPLAR = "request_id"


TEXT: Format = (exposition.generate_latest, exposition.CONTENT_TYPE_PLAIN_0_0_4)
OPENMETRICS: Format = (
    partial(openmetrics.generate_latest, escaping=openmetrics.ALLOWUTF8), openmetrics.CONTENT_TYPE_LATEST
)  # fmt: skip
"""The one that has exemplars. Our names need no escaping, which takes a third of a scrape."""


def accepted(accept: str) -> Format:
    """The format for an Accept header; every reader of metrics understands the older one.

    The client's own choice answers a version that is no number with an error.
    """
    formats = {"application/openmetrics-text": OPENMETRICS, "text/plain": TEXT}
    wanted = (choice.partition(";")[0].strip().lower() for choice in accept.split(","))
    return next((formats[kind] for kind in wanted if kind in formats), TEXT)


class MetricRegistry(Collector):
    """Counters and histograms to add to, gauges and untyped series with a function that reads them.

    Raises KeyError for a name that the catalogue has not, or has as another kind.
    """

    def __init__(self) -> None:
        # A series `…_created` for each counter and bucket would double every scrape in OpenMetrics.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        known = metrics().values()
        self._counters = {
            m.name: Counter(m.name, m.help, m.labels, registry=None) for m in known if m.kind == "counter"
        }
        self._histograms = {
            m.name: Histogram(m.name, m.help, m.labels, buckets=m.buckets, registry=None)
            for m in known
            if m.kind == "histogram"
        }
        self._reads: dict[str, Read] = {m.name: list for m in known if m.kind in ("gauge", "untyped")}
        self._process = ProcessCollector(registry=None)
        # `labels` of the client takes longer than the counting itself.
        self.counter, self.histogram = cache(self._counter), cache(self._histogram)

    def _counter(self, name: str, *labels: str) -> Counter:
        """The counter `name` with these values of its labels, in the catalogue's order.

        Raises ValueError where they are not as many as the labels.
        """
        return _child(self._counters[name], labels)

    def _histogram(self, name: str, *labels: str) -> Histogram:
        """The histogram `name`, likewise."""
        return _child(self._histograms[name], labels)

    def read(self, name: str, read: Read) -> None:
        """Let `read` give the samples of the gauge or untyped series `name` at each scrape."""
        if name not in self._reads:
            raise KeyError(name)
        self._reads[name] = read

    def start(self, name: str, **fixed: str) -> None:
        """Start every series of the counter or histogram `name` whose labels are `fixed` or closed sets at 0:
        rate() and increase() do not see what the first sample of a series holds.
        """
        of = self.counter if name in self._counters else self.histogram
        for labels in metrics()[name].known_children(**fixed):
            of(name, *labels.values())

    def samples(self, name: str) -> list[Sample]:
        """The samples now of the counter, gauge or untyped series `name`."""
        if name in self._reads:
            return list(self._reads[name]())
        return [(s.labels, s.value) for family in self._counters[name].collect() for s in family.samples]

    def text(self, accept: str) -> tuple[bytes, str]:
        """All samples and their content type, as text or OpenMetrics. Takes a while: call it in a thread."""
        encode, content_type = accepted(accept)
        return encode(self), content_type

    def collect(self) -> Iterator[Family]:
        """The families that have a sample now."""
        for metric in (*self._counters.values(), *self._histograms.values(), self._process):
            yield from (family for family in metric.collect() if family.samples)
        yield from self._asked()

    def _asked(self) -> Iterator[Family]:
        """The series that are read at each scrape, absent while they have nothing to say.

        The guide's own names are untyped: the client's counters append `_total` to a name that lacks it.
        """
        for name, read in self._reads.items():
            entry = metrics()[name]
            make = GaugeMetricFamily if entry.kind == "gauge" else UntypedMetricFamily
            family = make(name, entry.help, labels=entry.labels)
            for labels, value in read():
                family.add_metric([labels[label] for label in entry.labels], value)
            if family.samples:
                yield family


def _child(metric: M, labels: tuple[str, ...]) -> M:
    return metric.labels(*labels) if labels else metric


def exemplar(request_id: str) -> dict[str, str]:
    """The exemplar that leads from a bucket to a request and its trace; an id that is too long is cut."""
    trace = exemplar_ids()
    room = EXEMPLAR_LIMIT - len(_EXEMPLAR) - sum(len(name) + len(value) for name, value in trace.items())
    return {**trace, _EXEMPLAR: request_id[:room]}


def only(value: float | None) -> list[Sample]:
    """The one sample of a series without labels; none while there is no value."""
    return [] if value is None else [({}, value)]


SLOT = 10.0
"""Seconds per slot."""
SLOTS = 30

Clock = Callable[[], float]


class Window:
    """Sums of rows of numbers over the last five minutes, in slots of ten seconds. Safe between threads."""

    def __init__(self, width: int, clock: Clock = time.monotonic) -> None:
        self._width = width
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[int, list[float]] = {}

    def add(self, *values: float) -> None:
        """Add one number to each of the sums."""
        with self._lock:
            slot = self._slot()
            for index, value in enumerate(values):
                slot[index] += value

    def bump(self, index: int) -> None:
        """Add 1 to the sum at `index`."""
        with self._lock:
            self._slot()[index] += 1

    def sums(self) -> list[float]:
        """The sums now."""
        oldest = int(self._clock() / SLOT) - SLOTS
        with self._lock:
            live = [values for number, values in self._slots.items() if number > oldest]
            return [sum(column) for column in zip(*live, strict=True)] if live else [0.0] * self._width

    def _slot(self) -> list[float]:
        number = int(self._clock() / SLOT)
        slot = self._slots.get(number)
        if slot is None:
            for old in [n for n in self._slots if n <= number - SLOTS]:
                del self._slots[old]
            slot = self._slots[number] = [0.0] * self._width
        return slot


class Mean:
    """The mean of the last five minutes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._window = Window(2, clock)

    def add(self, value: float) -> None:
        """Add one value."""
        self._window.add(value, 1)

    def value(self) -> float | None:
        """The mean, None when there was nothing."""
        total, count = self._window.sums()
        return total / count if count else None


class Quantiles:
    """Quantiles of the last five minutes, within 10 % of the true value from 1 ms to 150 s."""

    _BOUNDS = tuple(0.001 * 1.1**n for n in range(126))

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._window = Window(len(self._BOUNDS) + 1, clock)

    def add(self, seconds: float) -> None:
        """Add one duration."""
        self._window.bump(bisect_left(self._BOUNDS, seconds))

    def value(self, quantile: float) -> float | None:
        """The `quantile` (0 to 1) in seconds, None when there was nothing."""
        counts = self._window.sums()
        total = sum(counts)
        if not total:
            return None
        wanted = quantile * total
        for index, reached in enumerate(accumulate(counts)):
            if reached >= wanted:
                return self._BOUNDS[min(index, len(self._BOUNDS) - 1)]
        return self._BOUNDS[-1]
