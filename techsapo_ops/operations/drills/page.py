"""The report of a drill as Markdown: to be read, mailed and kept with the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.drills import DrillWords, is_time
from techsapo_ops.operations.drills.chart import chart
from techsapo_ops.operations.drills.report import Report


def page(report: Report, locale: str) -> str:
    """The whole page in `ja` or `en`."""
    return "\n".join(_lines(report, DrillWords(locale))) + "\n"


def number(value: float | None) -> str:
    """A figure without digits that say nothing."""
    if value is None:
        return "—"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def measured(value: float | None) -> str:
    """A time that was measured: with the same decimals as those above and below it."""
    return number(None) if value is None else f"{value:.2f}"


def counted(name: str, value: float | None) -> str:
    """The count of that name, which may be a time."""
    return measured(value) if is_time(name) else number(value)


def _lines(report: Report, words: DrillWords) -> Iterator[str]:
    yield f"# {words('title', drill=report.drill)}"
    yield ""
    what = ", ".join(_plain(words(name)) for name in report.missed)
    yield f"**{words('met') if report.ok else words('missed', what=what)}**"
    yield ""
    started = f"{report.started.astimezone():%Y-%m-%d %H:%M:%S %z}"
    yield words(
        "head", project=_plain(report.project), engine=report.engine, version=report.version,
        started=started, seconds=measured(report.seconds),
    )  # fmt: skip
    if report.stopped:
        yield ""
        yield words("stopped_line", why=_plain(report.stopped))
    if report.phases:
        yield from _section(words("phases"))
        yield f"| {words('phase')} | {words('seconds')} | {words('objective')} | {words('verdict')} |"
        yield "| --- | ---: | ---: | --- |"
        for phase in report.phases:
            verdict = words("met_word" if phase.ok else "missed_word") if phase.objective is not None else ""
            yield (
                f"| {words(phase.name)} | {measured(phase.seconds)} | {number(phase.objective)} | {verdict} |"
            )
    if report.counts:
        yield from _section(words("counts"))
        yield f"| {words('what')} | {words('value')} |"
        yield "| --- | ---: |"
        for name, value in report.counts.items():
            yield f"| {_plain(words(name))} | {counted(name, value)} |"
    if drawn := chart(report.columns, report.marks, (words("answered_row"), words("failed_row"))):
        yield from _section(words("course"))
        yield "```text"
        yield drawn
        yield "```"
    if report.reasons:
        yield from _list(words("reasons"), (f"{_plain(why)}: {n}" for why, n in report.reasons.items()))
    seen = [words("alert", alert=a.alert, state=a.state, after=measured(a.after)) for a in report.alerts]
    yield from _list(words("alerts"), seen or [words("alerts_none")])
    if report.problems:
        yield from _list(words("problems"), map(_plain, report.problems))
    if report.notes:
        yield from _list(words("notes"), map(_plain, report.notes))
    if report.facts:
        yield from _list(words("facts"), (f"{_plain(k)}: {_plain(v)}" for k, v in report.facts.items()))
    name = report.drill.replace("-", "_")
    yield from _list(words("exercised"), [words(f"{name}_exercised")])
    yield from _list(words("not_exercised"), [words(f"{name}_not_exercised")])


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""


def _list(title: str, entries: Iterable[str]) -> Iterator[str]:
    yield from _section(title)
    yield from (f"- {entry}" for entry in entries)


def _plain(text: str) -> str:
    """A text from elsewhere on one line, in which Markdown and HTML see nothing."""
    line = " ".join(harmless(text).split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in line)
