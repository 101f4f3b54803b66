"""A Prometheus that only its own host or container reaches, asked by the promtool beside it."""

from __future__ import annotations

import json
from collections.abc import Callable

from techsapo_ops.adapters.monitoring_server import ApiError, own_metric
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.prometheus import Sample, vector
from techsapo_ops.messages import msg

# promtool shows no page of metrics; it packs one into an archive in the folder where it runs.
_METRICS = 'promtool debug metrics "$1" >&2 && tar -xzOf debug.tar.gz metrics.txt && rm debug.tar.gz'


class Promtool:
    """The Prometheus at `url`, where `run` runs a command. Each method raises ApiError where it fails.

    promtool gives a query two minutes.
    """

    def __init__(self, url: str, run: Callable[[Command], Completed]) -> None:
        self._url = url.rstrip("/")
        self._run = run

    def query(self, expression: str) -> tuple[Sample, ...]:
        """Evaluate a PromQL expression, whose value is an instant vector, now."""
        said = self._said("promtool", "query", "instant", "-o", "json", self._url, expression)
        try:
            return vector(json.loads(said))
        except (ValueError, TypeError, KeyError):
            raise ApiError(
                msg(
                    "{url}: promtool answers {said} to {expression}",
                    url=self._url,
                    said=repr(said[:200]),
                    expression=repr(expression),
                )
            ) from None

    def own(self, metric: str) -> float | None:
        """The value of a metric without labels that Prometheus has of itself; None where it has none."""
        return own_metric(self._said("sh", "-c", _METRICS, "sh", self._url), metric)

    def _said(self, *argv: str) -> str:
        done = self._run(Command(argv))
        if done.code != 0:
            raise ApiError(
                msg(
                    "{url}: {output}",
                    url=self._url,
                    output=done.output.removeprefix("query error: ") or msg("promtool failed"),
                )
            )
        return done.stdout.decode()
