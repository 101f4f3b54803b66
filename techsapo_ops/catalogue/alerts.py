"""Every alert, once, loaded from alerts/*.yaml: a file for each thing that can be in trouble.

The page of an alert is runbooks/NAME.md. The keys of an entry:

    expr         PromQL that is true while something is wrong. {threshold}, {minimum} and {window} are
                 those below or the spec's; {disks} selects the file systems that can fill up; {hung} is how
                 many seconds a scrape takes at least that was given up, {scrape} the interval of scrapes;
                 {absent_targets} is absent() of every scrape job but the app's, and of what an exporter says
                 of its server; {rules} is how many alerts there are
    parts        {NAME: PromQL} in the place of {NAME} in expr, for what it says more than once
    threshold    as the description says it, or the field of the spec that says it (a share in percent, a
                 time in minutes); absent where
                 there is nothing to set
    minimum      how many of what is counted there must be, so that one slow answer in an idle hour is no
                 alert; of what fills up, the percentage from which it matters; absent where nothing is
                 counted
    window       how far back expr looks; absent where that is fixed. It has to hold two scrapes
    for          how long expr must hold; the spec can change it
    keep_firing_for how long it goes on after expr held last, where it would else come and go; absent: not
                 at all
    severity     critical (users are or will be affected), warning (today), info (for the record)
    page         true: it wakes people. It carries the label PAGE, which has receivers of its own; the others
                 are a message in the time of their severity. Absent: it does not
    priority     P0 users are cut off; P1 users notice or will soon; P2 look at it in working hours
    service      what is affected
    exporter     the scrape job that expr reads: without it the alert is left out, and for always holds
                 two of its scrapes in a row. Absent where the alert is in every stack that scrapes
                 something of what it reads
    machines     true: the alert is in stacks on several machines alone. Its expr may hold {machines}, how
                 many there are, {machines_down}, how many of them are down or drained, {MachineDown}, the
                 expr of that alert, and {floating}, the address that moves: without one it is left out
    hosts        PromQL whose labels `host` the description names in the place of {hosts}, as when it was
                 sent; absent where it names none
    on_machines  {KEY: value}: expr, severity, page, summary or description in such a stack, where one of a
                 kind is less than all of it; what it leaves out is the same there. In both, what jobs leave
                 is read of the host that got it last, see series.py
    apart        labels that tell two troubles apart that each want someone: each is a message of its own, at
                 once. Absent: all that fire of this name are one message
    muted_by     {CAUSE: [label, …]}: alerts that name the cause where this one names its effect, or are
                 worse about the same. While one of them fires, nobody is told of this one, where both
                 carry the same values of these labels: those that tell two troubles apart. What is
                 muted through another is named too. Absent where there is none
    page_away    true: while it fires the app's pages, where links lead, may not open
    dashboard    the dashboard that shows it; absent: that of its file, see alert_files.yaml
    summary, description for a tired person at 3 a.m. They may hold {threshold}, {minimum}, {window},
                 {for} and Prometheus's {{ $value }} and {{ $labels.x }}; labels never hold a value, it
                 would make a new alert each time. Of an alert with `machines` also {machines} and
                 {majority}, how many are most of them, and {{ $externalLabels.replica }}, which Prometheus
                 says so
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from techsapo_ops.catalogue.series import EPISODES_JOB, brought_by, of_newest_copy
from techsapo_ops.catalogue.yaml_text import packaged_yaml

Severity = Literal["critical", "warning", "info"]
Priority = Literal["P0", "P1", "P2"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""From the worst down."""
WATCHDOG = "Watchdog"
"""The alert that always fires, so that its absence tells that nothing else is told either."""
APP_JOB = "techsapo-app"
"""The scrape job of the app, which every stack has."""
NOTIFICATIONS_FAILING = "NotificationsFailing"
"""The alert that messages do not arrive."""
DRILL = "Drill"
"""The alert that a drill lets fire: nothing is wrong."""
MACHINE_DOWN = "MachineDown"
"""The alert that a machine is away, for each."""
MACHINE_DRAINED = "MachineDrained"
"""The alert that somebody has taken one out for a while, for each."""
DRILL_LABEL = "drill"
"""Label, with the value `true`, of what a drill sends."""
PAGE = "page"
"""Label, with the value `true`, of what wakes people, whatever its severity; the name of its receivers."""
DISKS = (
    'fstype!~"tmpfs|ramfs|devtmpfs|squashfs|erofs|iso9660|udf|autofs|nsfs|fuse.*",'
    'mountpoint!~"/(proc|sys|dev|run)(/.*)?"'
)
"""Label matchers for the file systems of node exporter that can fill up."""

_BY_INSTANCE = re.compile(r"\bby \(([^)]*\binstance\b[^)]*)\)")


@dataclass(frozen=True, slots=True)
class Alert:
    """One entry; the head of this file explains each key. Texts are by locale, `ja` and `en`."""

    name: str
    expr: str
    for_: str
    severity: Severity
    priority: Priority
    service: str
    dashboard: str
    summary: Mapping[str, str]
    description: Mapping[str, str]
    on_machines: Mapping[str, Any]
    apart: tuple[str, ...]
    muted_by: Mapping[str, tuple[str, ...]]
    threshold: float | None = None
    threshold_field: str | None = None
    minimum: float | None = None
    keep_firing_for: str | None = None
    window: str | None = None
    page: bool = False
    exporter: str | None = None
    machines: bool = False
    hosts: str | None = None
    page_away: bool = False

    @property
    def has_threshold(self) -> bool:
        """Whether there is a number to set."""
        return self.threshold is not None or self.threshold_field is not None

    def can_fire(self, jobs: Collection[str]) -> bool:
        """Whether one of the scrape jobs `jobs`, the app's left out, brings what it reads."""
        if self.exporter is not None:
            return self.exporter in jobs
        brought = brought_by(self.expr)
        return not brought or not brought.isdisjoint({*jobs, APP_JOB})

    @property
    def runbook(self) -> str:
        """File name of the page in runbooks/."""
        return f"{self.name}.md"

    def least_wait(self, seen: float) -> float:
        """Seconds for which one of its causes is waited for at least, which is seen within `seen` seconds.

        On several machines one that holds for less than its effect does is waited for as much shorter.
        """
        return 0.0 if self.machines else seen

    def of_stack(self, *, hosts: int) -> Alert:
        """The same as a stack on so many `hosts` has it, where they are several; 0 for one."""
        return replace(self, **self.on_machines) if hosts else self

    def expression(
        self,
        *,
        threshold: float | None = None,
        minimum: float | None = None,
        window: str | None = None,
        jobs: Sequence[str] = (),
        machines: int = 0,
        floating: str = "",
    ) -> str:
        """The PromQL expression; `threshold`, `minimum` and `window` take the place of the catalogue's.

        `jobs` are the scrape jobs that have to be there, `machines` how many the stack is on, where several,
        and `floating` the address that moves between them.
        """
        expr = self.of_stack(hosts=machines).expr
        down, drained = alerts()[MACHINE_DOWN].expr, alerts()[MACHINE_DRAINED].expr
        away = f"scalar(count(\n{down}\nor on (host)\n{drained}\n) or vector(0))"
        places = {"MachineDown": down, "machines_down": away, "machines": str(machines), "floating": floating}
        expr = filled(expr, places)
        if machines:
            # By this one Prometheis hear of each other: what it says of a target, another one does.
            expr = expr.replace('job!="techsapo-probes"', f'job!~"techsapo-probes|{EPISODES_JOB}"')
            expr = of_newest_copy(expr)
            # The name of an instance tells a reader its host, and nothing that compares labels.
            expr = _BY_INSTANCE.sub(lambda by: by[0] if "host" in by[1] else f"by ({by[1]}, host)", expr)
        limits = {
            "threshold": self.threshold if threshold is None else threshold,
            "minimum": self.minimum if minimum is None else minimum,
        }
        return filled(
            expr,
            {
                "disks": "{" + DISKS + "}",
                "absent_targets": "\nor\n".join(part for job in jobs for part in _absent(job)),
                "window": window or self.window,
                **{name: None if n is None else promql_number(n) for name, n in limits.items()},
            },
        )


def filled(text: str, values: Mapping[str, str | None]) -> str:
    """`text` with each value in the place of its {NAME}; what has none stays as it is."""
    for name, value in values.items():
        if value is not None:
            text = text.replace(f"{{{name}}}", value)
    return text


def _absent(job: str) -> Iterator[str]:
    """What is true while the scrape job `job`, or what it is there for, is missing."""
    yield f'absent(up{{job="{job}"}})'
    if (series := server_up().get(job)) is not None:
        # An exporter's image of the user's own choice may name it otherwise: NGINX Plus has nginxplus_up.
        yield f'up{{job="{job}"}} == 1 unless on (job, instance) {series}'


@cache
def server_up() -> Mapping[str, str]:
    """By scrape job, the series in which an exporter says whether its server answers: 1, else 0."""
    return MappingProxyType(packaged_yaml("server_up.yaml"))


@cache
def cut_off() -> Mapping[str, str]:
    """By what an instance of the app uses, the series that is above 0 while it can't."""
    return MappingProxyType(packaged_yaml("cut_off.yaml"))


def promql_number(value: float) -> str:
    """`value` as a PromQL number, exact: 85.0 is `85`, infinity is `+Inf`."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    return repr(value).removesuffix(".0")


def _alert(name: str, entry: Mapping[str, Any], dashboard: str) -> Alert:
    own = {"dashboard": dashboard, **entry}
    own["expr"] = filled(own["expr"], own.pop("parts", {}))
    for number in ("threshold", "minimum"):
        if isinstance(own.get(number), int):
            own[number] = float(own[number])
    if isinstance(own.get("threshold"), str):
        own["threshold_field"] = own.pop("threshold")
    own["for_"], own["apart"] = own.pop("for"), tuple(own.get("apart", ()))
    own["muted_by"] = {cause: tuple(labels) for cause, labels in own.get("muted_by", {}).items()}
    for by_key in ("muted_by", "on_machines", "summary", "description"):
        own[by_key] = MappingProxyType(own.get(by_key, {}))
    return Alert(name, **own)


@cache
def _loaded() -> Sequence[Alert]:
    loaded: list[Alert] = []
    for file, dashboard in packaged_yaml("alert_files.yaml").items():
        entries = packaged_yaml(f"alerts/{file}.yaml")
        loaded += [_alert(name, entry, dashboard) for name, entry in entries.items()]
    return tuple(loaded)


def alerts_on(hosts: int) -> Mapping[str, Alert]:
    """Those that a stack on so many `hosts` can have, as it has them; 0 for one host."""
    return {name: alert for name, alert in alerts(hosts=hosts).items() if hosts or not alert.machines}


@cache
def alerts(*, hosts: int = 0) -> Mapping[str, Alert]:
    """Every alert by name, the worst severity first, as a stack on so many `hosts` has them; 0 for one."""
    every = [alert.of_stack(hosts=hosts) for alert in _loaded()]
    worst_first = sorted(every, key=lambda alert: SEVERITIES.index(alert.severity))
    return MappingProxyType({alert.name: alert for alert in worst_first})
