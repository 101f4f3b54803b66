"""The series of catalogue/metrics.yaml: what counts, and what is read when asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import prometheus_client
from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, UntypedMetricFamily
from prometheus_client.metrics_core import Metric as Family

from techsapo_ops.catalogue.metrics import Metric, metrics
from techsapo_ops.serve.exposition import CounterChild, Format, HistogramChild, accepted
from techsapo_ops.serve.trace_context import exemplar_ids

Sample = tuple[Mapping[str, str], float]
Read = Callable[[], Iterable[Sample]]
C = TypeVar("C", CounterChild, HistogramChild)
EXEMPLAR_LIMIT = 128
"""Most characters of an exemplar's labels, names included (OpenMetrics 1.0, section 4.6)."""
_EXEMPLAR = "request_id"
TURN = 0.001
"""Seconds after which a scrape lets other threads run. The event loop would else wait for the interpreter's
switch interval, 5 ms, and that several times for one request.
"""


class _Children(Generic[C]):
    """A counter or histogram with every set of labels that it has."""

    def __init__(self, entry: Metric, make: Callable[[Metric, Mapping[str, str]], C]) -> None:
        self._entry = entry
        self._make: Callable[[Metric, Mapping[str, str]], C] = make
        self._known: dict[tuple[str, ...], C] = {}
        self._lock = threading.Lock()

    def get(self, labels: tuple[str, ...]) -> C:
        """The one with these values; ValueError where they are not as many as the labels."""
        found = self._known.get(labels)
        if found is None:
            named = dict(zip(self._entry.labels, labels, strict=True))
            with self._lock:
                found = self._known.setdefault(labels, self._make(self._entry, named))
        return found

    def all(self) -> list[C]:
        """All of them now."""
        with self._lock:
            return list(self._known.values())

    def written(self, wanted: Format) -> Iterator[bytes]:
        """Their samples now; nothing while there is none of them."""
        for number, child in enumerate(self.all()):
            if not number:
                yield wanted.head(child.family())
            yield child.lines(wanted)


class MetricRegistry:
    """Counters and histograms to add to, gauges and untyped series with a function that reads them.

    Raises KeyError for a name that the catalogue has not, or has as another kind.
    """

    def __init__(self) -> None:
        # A series `…_created` for each counter and bucket would double every scrape in OpenMetrics.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        known = metrics().values()
        self._counters = {m.name: _Children(m, CounterChild) for m in known if m.kind == "counter"}
        self._histograms = {m.name: _Children(m, HistogramChild) for m in known if m.kind == "histogram"}
        self._reads: dict[str, Read] = {m.name: list for m in known if m.kind in ("gauge", "untyped")}
        self._process = ProcessCollector(registry=None)

    def counter(self, name: str, *labels: str) -> CounterChild:
        """The counter `name` with these values of its labels, in the catalogue's order."""
        return self._counters[name].get(labels)

    def histogram(self, name: str, *labels: str) -> HistogramChild:
        """The histogram `name` with these values of its labels, in the catalogue's order."""
        return self._histograms[name].get(labels)

    def read(self, name: str, read: Read) -> None:
        """Let `read` give the samples of the gauge or untyped series `name` at each scrape."""
        if name not in self._reads:
            raise KeyError(name)
        self._reads[name] = read

    def start(self, name: str, **fixed: str) -> None:
        """Start every series of the counter or histogram `name` whose labels are `fixed` or closed sets at 0:
        rate() and increase() do not see what the first sample of a series holds.
        """
        children = self._counters.get(name) or self._histograms[name]
        for labels in metrics()[name].known_children(**fixed):
            children.get(tuple(labels.values()))

    def samples(self, name: str) -> list[Sample]:
        """The samples now of the counter, gauge or untyped series `name`."""
        if name in self._reads:
            return list(self._reads[name]())
        return [(child.labels, child.value()) for child in self._counters[name].all()]

    def text(self, accept: str) -> tuple[bytes, str]:
        """All samples and their content type, as text or OpenMetrics. Takes a while: call it in a thread."""
        wanted, parts, turn = accepted(accept), [], time.perf_counter() + TURN
        for part in self._written(wanted):
            parts.append(part)
            if time.perf_counter() > turn:
                time.sleep(0)
                turn = time.perf_counter() + TURN
        return b"".join((*parts, wanted.tail)), wanted.content_type

    def _written(self, wanted: Format) -> Iterator[bytes]:
        counting: tuple[_Children[Any], ...] = (*self._counters.values(), *self._histograms.values())
        for children in counting:
            yield from children.written(wanted)
        for family in (*self._asked(), *self._process.collect()):
            yield wanted.head(family)
            yield wanted.lines(family)

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


def exemplar(request_id: str) -> dict[str, str]:
    """The exemplar that leads from a bucket to a request and its trace; an id that is too long is cut."""
    trace = exemplar_ids()
    room = EXEMPLAR_LIMIT - len(_EXEMPLAR) - sum(len(name) + len(value) for name, value in trace.items())
    return {**trace, _EXEMPLAR: request_id[:room]}


def only(value: float | None) -> list[Sample]:
    """The one sample of a series without labels; none while there is no value."""
    return [] if value is None else [({}, value)]
