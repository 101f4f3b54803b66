"""Metrics of jobs for node exporter's textfile collector: one file a job, replaced as a whole.

The collector reads every `*.prom` of its folder at each scrape. Two files with the same series would lose
one of them, so each series carries the label `name`, which is also the file's name; timestamps, which make
the collector refuse a file, are never written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.catalogue.series import job_metrics
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_READABLE = 0o644
_FOLDER = 0o755
"""The collector runs as a user of its own."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric that job_metrics.yaml lists; `labels` are those beside `name`."""

    metric: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def textfile_path(folder: Path, job: str) -> Path:
    """The file of `job`. Raises OpsError for a name that is no job's."""
    if not _NAME.fullmatch(job):
        raise OpsError(
            msg("{job} is not a valid job name", job=repr(job)),
            msg("use lower-case letters, digits, - and _"),
        )
    return folder / f"{job}.prom"


def write_textfile(folder: Path, job: str, samples: Iterable[Sample]) -> Path:
    """Replace the metrics of `job` in `folder` by `samples`; returns the file.

    Label values may be anything. Raises OpsError for a metric or a label that the catalogue does not list
    and when the file can't be written; the old one then stays.
    """
    path = textfile_path(folder, job)
    content = exposition(job, samples)
    if not folder.is_dir():
        try:
            with opened(folder, make=_FOLDER) as descriptor:
                os.fchmod(descriptor, _FOLDER)
        except OSError as error:
            raise OpsError(
                msg("cannot create {folder}: {strerror}", folder=folder, strerror=error.strerror),
                msg("check who owns the folder"),
            ) from None
    write_atomic(path, content.encode(), _READABLE)
    return path


def exposition(job: str, samples: Iterable[Sample]) -> str:
    """`samples` in Prometheus's text format, in the catalogue's order. Raises as write_textfile does."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    catalogue = job_metrics()
    registry = CollectorRegistry(auto_describe=False)
    gauges: dict[str, Gauge] = {}
    listed = list(samples)
    order = {name: number for number, name in enumerate(catalogue)}
    for sample in sorted(listed, key=lambda s: order.get(s.metric, len(order))):
        metric = catalogue.get(sample.metric)
        if metric is None:
            raise OpsError(
                msg("{metric} is not in job_metrics.yaml", metric=sample.metric),
                msg("add the metric to job_metrics.yaml"),
            )
        labels = {"name": job, **sample.labels}
        if set(labels) != set(metric.labels):
            raise OpsError(
                msg(
                    "{metric} has the labels {labels}, not {labels2}",
                    metric=sample.metric,
                    labels=", ".join(metric.labels),
                    labels2=", ".join(labels),
                )
            )
        if metric.name not in gauges:
            gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=registry)
        gauges[metric.name].labels(**labels).set(sample.value)
    return generate_latest(registry).decode()


def read_textfile(folder: Path, job: str) -> tuple[Sample, ...]:
    """What the last run of `job` left in `folder`; nothing where there is no file.

    Raises OpsError when it can't be read or is not in Prometheus's text format.
    """
    path = textfile_path(folder, job)
    if not path.exists():
        return ()
    text = read_text(path, what=msg("metrics of a job"))
    try:
        return tuple(_samples(text))
    except ValueError as error:
        raise OpsError(
            msg("{path} is not in Prometheus's text format: {error}", path=path, error=error),
            msg("remove the file: the next run of the job writes it again"),
        ) from None


def _samples(text: str) -> Iterator[Sample]:
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "name"}
            yield Sample(sample.name, float(sample.value), labels)
