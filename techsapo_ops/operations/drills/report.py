"""What a drill found, as a value: times beside their objectives, counts, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from techsapo_ops.messages import msg

ClusterDrill = Literal["failover-host", "failover-redis", "failover-mysql", "partition"]
Drill = Literal["restore", "alert", "failover-app", "recover", ClusterDrill]
DRILLS: tuple[Drill, ...] = get_args(Drill)
PhaseName = Literal[
    "detection", "failover", "writable", "recovery", "asked_again", "handed_on", "delivery", "data", "service"
]
VERSION = 1


@dataclass(frozen=True, slots=True)
class Phase:
    """How long a part took, in seconds: None where it did not end; beside its objective, where it has one."""

    name: PhaseName
    seconds: float | None
    objective: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the objective is met; without one there is nothing to miss."""
        return self.objective is None or (self.seconds is not None and self.seconds <= self.objective)


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert that was seen during the drill, `after` seconds after the fault."""

    alert: str
    state: str
    after: float


@dataclass(frozen=True, slots=True)
class Report:
    """One drill. `zero` names the counts that have to be 0. `stopped` says why it was ended early, "" where
    it was not. `columns` are, second by second, tries that were answered and that failed; `marks` are moments
    in them.
    """

    id: str
    drill: Drill
    project: str
    engine: str
    version: str
    started: datetime
    seconds: float
    phases: tuple[Phase, ...]
    counts: Mapping[str, float | None] = field(default_factory=dict)
    zero: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    alerts: tuple[Seen, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stopped: str = ""
    columns: tuple[tuple[int, int], ...] = ()
    marks: Mapping[str, float] = field(default_factory=dict)

    @property
    def missed(self) -> tuple[str, ...]:
        """What was not as it has to be: names of phases and counts, then problems."""
        late = [phase.name for phase in self.phases if not phase.ok]
        more = [name for name in self.zero if self.counts.get(name)]
        return (*late, *more, *(["stopped"] if self.stopped else ()), *self.problems)

    @property
    def ok(self) -> bool:
        """Whether everything was as it has to be."""
        return not self.missed

    def to_json(self) -> dict[str, Any]:
        """As plain data, with the verdict."""
        return {
            "form": VERSION,
            **asdict(self),
            "started": self.started.isoformat(timespec="milliseconds"),
            "phases": [
                {
                    **asdict(phase),
                    "seconds": None if phase.seconds is None else round(phase.seconds, 3),
                    "ok": phase.ok,
                }
                for phase in self.phases
            ],
            "ok": self.ok,
            "missed": list(self.missed),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Report:
        """What `to_json` made.

        Raises LookupError, TypeError, AttributeError, ValueError or StopIteration for anything else.
        """
        if value["form"] != VERSION:
            raise ValueError(msg("it is of another version"))
        return Report(
            id=str(value["id"]),
            drill=_drill(value["drill"]),
            project=str(value["project"]),
            engine=str(value["engine"]),
            version=str(value["version"]),
            started=datetime.fromisoformat(value["started"]),
            seconds=float(value["seconds"]),
            phases=tuple(
                Phase(p["name"], _number(p["seconds"]), _number(p["objective"])) for p in value["phases"]
            ),
            counts={str(k): _number(v) for k, v in value["counts"].items()},
            zero=_texts(value["zero"]),
            reasons={str(k): int(v) for k, v in value["reasons"].items()},
            facts={str(k): str(v) for k, v in value["facts"].items()},
            alerts=tuple(Seen(str(a["alert"]), str(a["state"]), float(a["after"])) for a in value["alerts"]),
            problems=_texts(value["problems"]),
            notes=_texts(value["notes"]),
            stopped=str(value["stopped"]),
            columns=tuple((int(good), int(bad)) for good, bad in value["columns"]),
            marks={str(k): float(v) for k, v in value["marks"].items()},
        )


def _drill(value: Any) -> Drill:
    return next(name for name in DRILLS if name == value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _texts(value: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(each) for each in value)
