"""Alerts and events as others report them, and incidents as the API shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag

from techsapo_ops.serve.bodies.base import Body

_Map = dict[str, str]


class PostedAlert(BaseModel):
    """An alert, as Alertmanager's API takes it."""

    labels: Annotated[_Map, Field(min_length=1)]
    annotations: _Map = {}
    starts: Annotated[AwareDatetime | None, Field(alias="startsAt", description="Default: now.")] = None
    ends: Annotated[
        AwareDatetime | None,
        Field(
            alias="endsAt",
            description="When the alert ended. If absent or in the future, the alert is firing.",
        ),
    ] = None
    source: Annotated[str, Field(alias="generatorURL")] = ""


class WebhookAlert(PostedAlert):
    """An alert in Alertmanager's webhook."""

    status: Literal["firing", "resolved"]
    starts: Annotated[AwareDatetime, Field(alias="startsAt")]
    fingerprint: str = ""


class WebhookBody(BaseModel):
    """Alertmanager's webhook, version 4. Fields that a newer version adds are passed over.

    https://prometheus.io/docs/alerting/latest/configuration/#webhook_config (of 2026-12-02)
    """

    version: Literal["4"]
    group: Annotated[str, Field(alias="groupKey")]
    status: Literal["firing", "resolved"]
    receiver: str
    group_labels: Annotated[_Map, Field(alias="groupLabels")]
    common_labels: Annotated[_Map, Field(alias="commonLabels")]
    common_annotations: Annotated[_Map, Field(alias="commonAnnotations")]
    external_url: Annotated[str, Field(alias="externalURL")]
    alerts: list[WebhookAlert]
    truncated: Annotated[
        int,
        Field(
            ge=0,
            alias="truncatedAlerts",
            description="Alerts of the group that the message left out (`max_alerts`).",
        ),
    ] = 0


class AlertsBody(
    RootModel[
        Annotated[
            Annotated[WebhookBody, Tag("webhook")] | Annotated[list[PostedAlert], Tag("list")],
            Discriminator(lambda value: "list" if isinstance(value, list) else "webhook"),
        ]
    ]
):
    """Alertmanager's webhook, or a list of alerts."""


class AcceptedAlertsBody(Body):
    """`ignored` alerts change nothing: tests, drills, and signs of life. `left_out` of the `alerts` are in no
    incident, as there is no room.
    """

    alerts: int
    ignored: int
    left_out: int
    incidents: Annotated[list[int], Field(description="Incidents that the alerts opened or changed.")]


class EventBody(BaseModel):
    """Something that somebody did, such as a deploy."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(min_length=1, max_length=500)]
    service: Annotated[str, Field(max_length=64)] = ""
    host: Annotated[str, Field(max_length=64)] = ""
    time: Annotated[AwareDatetime | None, Field(description="When the event happened. Default: now.")] = None


class StoredEventBody(Body):
    id: str
    time: str
    text: str
    service: str
    host: str
    by: str


class ResolveBody(BaseModel):
    """What the cause was, as a person found it. It ends the incident."""

    model_config = ConfigDict(extra="forbid")
    cause: Annotated[str, Field(min_length=1, max_length=500)]


class StrikeBody(BaseModel):
    """A cause that it was not, and why. The verdict is drawn anew without it."""

    model_config = ConfigDict(extra="forbid")
    cause: Annotated[int, Field(ge=1, le=100, description="Number of the cause in the verdict, from 1.")]
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class CheckBody(BaseModel):
    """What a check printed. The verdict is drawn anew with it."""

    model_config = ConfigDict(extra="forbid")
    check: Annotated[
        str, Field(max_length=64, description="Name of the check in the verdict; else empty.")
    ] = ""
    output: Annotated[str, Field(min_length=1, max_length=16_000)]


class IncidentBody(Body):
    number: int
    title: str
    began: str
    ended: Annotated[str | None, Field(description="null while the incident is open.")]
    pages: Annotated[bool, Field(description="Whether an alert of the incident wakes people.")]
    about: Annotated[list[str], Field(description="Services and hosts: `service:shop`, `host:db1`.")]
    alerts: Annotated[int, Field(description="Number of alerts in the incident.")]
    firing: int
    cause: Annotated[str | None, Field(description="The cause that a person named.")]
    investigation: Literal["", "due", "running", "done"]
    acknowledged_by: list[str]


class IncidentAlertBody(Body):
    name: str
    labels: _Map
    summary: str
    pages: bool
    began: str
    ended: str | None


class EntryBody(Body):
    """An entry of the time line. `detail` has what is more than a line, such as the evidence."""

    number: int
    time: str
    kind: str
    by: str
    text: str
    detail: dict[str, Any] | None


class WholeIncidentBody(IncidentBody):
    members: Annotated[list[IncidentAlertBody], Field(description="Alerts of the incident.")]
    timeline: list[EntryBody]


class IncidentsBody(Body):
    incidents: Annotated[list[IncidentBody], Field(description="The newest first.")]


class AskedBody(BaseModel):
    """An alert's name, an incident's number or a question, and what was read about it elsewhere."""

    model_config = ConfigDict(extra="forbid")
    about: Annotated[str, Field(max_length=2000)] = ""
    since: Annotated[
        float,
        Field(ge=60, le=7 * 86_400, description="How far back to look, in seconds before the beginning."),
    ] = 1800
    ask: Annotated[
        bool,
        Field(
            description="Whether to ask the panel if there is no verdict; otherwise, only evidence is "
            "returned."
        ),
    ] = True
    leaving: Annotated[
        bool,
        Field(description="Whether to return only evidence that may be sent to providers (`may_leave`)."),
    ] = False
    material: Annotated[
        dict[str, Any] | None,
        Field(description="Evidence as in a bundle. Default: what this instance can read."),
    ] = None


class InquiryBody(Body):
    """What the panel says: `text` for people, and the same as data."""

    request_id: str
    text: str
    outcome: str
    verdict: dict[str, Any]
    evidence: dict[str, Any]
