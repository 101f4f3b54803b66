"""How much of each day something answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.serve.bodies.base import Body, Number


class UptimeRowBody(Body):
    """One thing by day, in the order of `days`."""

    kind: Annotated[
        Literal["answers", "instance", "server"],
        Field(description="answers: at least one instance of the app was up."),
    ]
    name: str
    up: Annotated[
        list[Number | None],
        Field(
            description="Of what is known of the day, the share in which it was up, 0 to 1; null: no data."
        ),
    ]
    known: Annotated[list[Number], Field(description="Share of the day that is known, 0 to 1.")]


class UptimeBody(Body):
    """The last 90 days (UTC), today last; no rows where no Prometheus tells of them: see `watched`."""

    watched: Literal["ready", "unreachable", "absent"]
    days: list[str]
    rows: list[UptimeRowBody]
