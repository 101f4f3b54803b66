"""The figures of the app's own charts: which stretch is asked for, the applies in it, what brings figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest
from rows import each_row

from techsapo_ops.adapters.prometheus import Prometheus, Sample, Series, Target
from techsapo_ops.serve.bodies.monitoring import EventMarkBody, FiguresBody
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.options import PageFacts
from techsapo_ops.serve.pages.charts import Charts, Marks, View, read_applies


class Answering(Prometheus):
    """Knows three applies, and writes down which stretches were asked for."""

    def __init__(self, applies: Mapping[str, float]) -> None:
        super().__init__("http://127.0.0.1:9")
        self.asked: set[tuple[float, float]] = set()
        self.expressions: list[str] = []
        self._applies = applies

    def query(self, expression: str) -> tuple[Sample, ...]:
        self.expressions.append(expression)
        more = {"user": "hanako", "command": "up", "result": "ok"}
        return tuple(Sample({"number": n, **more}, t, time.time()) for n, t in self._applies.items())

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        self.asked.add((start, end))
        assert expression
        # As Prometheus does: to milliseconds, from the start on.
        times = (round(start + round(step, 3) * n, 3) for n in range(200))
        return (Series({}, {when: 1.0 for when in times if when <= end}),)

    def targets(self) -> tuple[Target, ...]:
        return ()


def figures(
    prometheus: Answering | None = None,
    begin: int | None = None,
    end: int | None = None,
    marks: Marks = lambda begin, end: [],
) -> FiguresBody:
    charts = Charts(prometheus or Answering({}), PageFacts, marks)
    return asyncio.run(charts.figures("jobs", View.model_validate({"from": begin, "to": end})))


@each_row("length, points", [(10, 11), (90, 91), (3600, 121)])
def test_a_stretch_is_asked_for_from_its_begin_to_its_end(length: int, points: int) -> None:
    prometheus = Answering({})
    told = figures(prometheus, begin=1_795_000_000, end=1_795_000_000 + length)
    assert len(told.times) == points
    assert prometheus.asked == {(1_795_000_000, 1_795_000_000 + length)}


@each_row("length", [10, 121, 1291, 4567, 86_401, 2_592_000])
def test_every_moment_of_a_stretch_finds_its_value(length: int) -> None:
    told = figures(begin=1_795_000_001, end=1_795_000_001 + length)
    (series,) = told.panels[0].series
    assert None not in series.values
    assert 10 < len(told.times) <= 121
    assert told.times[0] >= 1_795_000_001
    assert told.times[-1] == 1_795_000_001 + length


@each_row("begin, end", [(None, 100), (100, None), (100, 50), (100, 109), (0, 2_592_001)], ids=str)
def test_a_stretch_that_can_not_be_drawn_is_refused(begin: int | None, end: int | None) -> None:
    with pytest.raises(Problem) as refused:
        figures(begin=begin, end=end)
    assert (refused.value.status, refused.value.code) == (422, "invalid_request")


def test_the_applies_of_a_stretch_come_with_its_figures_in_their_order() -> None:
    now = int(time.time())
    prometheus = Answering({"12": now - 600, "9": now - 1200, "3": now - 9000, "odd": now - 10})
    told = figures(prometheus)
    assert [(a.number, a.user) for a in told.applies] == [(9, "hanako"), (12, "hanako")]
    (expression,) = [e for e in prometheus.expressions if "apply" in e]
    assert expression.startswith("last_over_time(techsapo_apply_timestamp_seconds[36")


def test_events_of_the_stretch_that_is_shown_come_with_its_figures() -> None:
    asked = []

    def marks(begin: float, end: float) -> list[EventMarkBody]:
        asked.append((begin, end))
        return [EventMarkBody(text="deployed shop v12", time=end, service="shop", host="", by="hanako")]

    told = figures(begin=1_795_000_000, end=1_795_003_600, marks=marks)
    assert [event.text for event in told.events] == ["deployed shop v12"]
    assert asked == [(1_795_000_000, 1_795_003_600)]


def test_no_more_applies_are_told_than_a_chart_can_mark() -> None:
    now = time.time()
    prometheus = Answering({str(n): now - 1000 + n for n in range(1, 200)})
    told = read_applies(prometheus, now - 3600, now)
    assert [a.number for a in told] == list(range(150, 200))
