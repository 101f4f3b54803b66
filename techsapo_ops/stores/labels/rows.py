"""Labels and what they are about, as values, and the bounds of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

Said = Literal["right", "partly", "wrong", "unused", "unknown"]
"""What a person says of an answer: unused is that nobody acted on it, unknown that its reader can't tell."""
Via = Literal["page", "cli", "api", "message"]
SAID: tuple[Said, ...] = get_args(Said)


@dataclass(frozen=True, slots=True)
class Label:
    """What `who` said of the answer to a request, at a time in UTC.

    `who` is the name of an API key or of who signed in, "" where nobody is told apart. `solved` is another
    question: a right answer may solve nothing, and a wrong one may lead to what does.
    """

    id: str
    request_id: str
    who: str
    label: Said
    solved: bool | None
    at: datetime
    via: Via

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Label:
        """What `to_json` made. Raises ValueError, LookupError or TypeError for anything else."""
        return cls(**{**value, "at": datetime.fromisoformat(value["at"])})


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request that has a verdict: `panel` is its PanelRecord as JSON, `labels` all that people said of it.

    `prompt_hash` and `panel` are the same for a question that was answered again from the cache.
    """

    request_id: str
    time: datetime
    prompt_hash: str
    simulated: bool
    cost_usd: float
    panel: str
    labels: tuple[Label, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data, which travels from where the database can be reached."""
        return {
            **{name: getattr(self, name) for name in ("request_id", "prompt_hash", "simulated", "cost_usd")},
            "panel": self.panel,
            "time": self.time.isoformat(),
            "labels": [label.to_json() for label in self.labels],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AnsweredRequest:
        """What `to_json` made. Raises as Label.from_json."""
        labels = tuple(map(Label.from_json, value["labels"]))
        return cls(**{**value, "time": datetime.fromisoformat(value["time"]), "labels": labels})


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The texts that the audit log has of a request, masked; None for what the spec does not keep."""

    request_id: str
    time: datetime
    prompt: str | None
    answer: str | None
