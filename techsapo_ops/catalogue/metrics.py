"""The series of the app and of jobs, loaded from metrics.yaml and job_metrics.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Literal

from techsapo_ops.catalogue.yaml_text import packaged_table

MetricKind = Literal["counter", "histogram", "gauge", "untyped"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of metrics.yaml; the file's head explains each key.

    `name` is the full name as Prometheus sees it: a counter's ends in `_total`.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The only values of a label, for labels that have a closed set of them."""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are stored."""
        if self.kind == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)

    def known_children(self, **fixed: str) -> Iterator[dict[str, str]]:
        """Label sets that can be told beforehand: `fixed` together with every combination of `values`.

        Yields nothing while a label is neither in `fixed` nor in `values`.
        """
        choices = [(fixed[n],) if n in fixed else self.values.get(n, ()) for n in self.labels]
        for combination in product(*choices):
            yield dict(zip(self.labels, combination, strict=True))


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric of the app by name, in the order of metrics.yaml."""
    return packaged_table("metrics.yaml", Metric)


@cache
def job_metrics() -> Mapping[str, Metric]:
    """Every metric that jobs leave for the textfile collector, in the order of job_metrics.yaml."""
    return packaged_table("job_metrics.yaml", Metric)
