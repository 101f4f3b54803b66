"""How much of each day something answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.serve.bodies.base import Body, Number


class UptimeRowBody(Body):
    """One thing by day, in the order of `days`."""

    kind: Annotated[
        Literal["questions", "any_instance", "instance", "server"],
        Field(
            description="questions: analyses that were answered, of those that were answered or failed; "
            "any_instance: at least one instance of the app was up."
        ),
    ]
    name: str
    up: Annotated[
        list[Number | None],
        Field(
            description="Of what is known of the day, the share in which it was up, 0 to 1; of questions the "
            "share that was answered; null: no data, or no question."
        ),
    ]
    known: Annotated[
        list[Number],
        Field(description="Share of the day that is known, 0 to 1; of questions 1 where there was one."),
    ]
    asked: Annotated[
        list[int] | None,
        Field(description="How many questions were answered or failed; null where up is a share of time."),
    ] = None


class UptimeBody(Body):
    """The last 90 days (UTC), today last; no rows where no Prometheus tells of them: see `watched`."""

    watched: Literal["ready", "unreachable", "absent"]
    days: list[str]
    rows: list[UptimeRowBody]
