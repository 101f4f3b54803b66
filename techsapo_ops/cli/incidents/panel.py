"""What `techsapo why` asks of the app: incidents, and the panel's verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from techsapo_ops.catalogue.checks import Known
from techsapo_ops.cli.app.orchestrator import Orchestrator, post
from techsapo_ops.incidents.bundle import material_json
from techsapo_ops.incidents.evidence import Pack
from techsapo_ops.incidents.material import Material
from techsapo_ops.incidents.pack import leaving
from techsapo_ops.incidents.question import Inquiry, Language, system_of, user_of

Mask = Callable[[str], str]
INVESTIGATE = "/api/v1/incidents/investigate"


def verdict_of(
    asked: Orchestrator, about: str, since: float, material: Material | None = None, **options: bool
) -> dict[str, Any]:
    """What a running app says of the alert, incident or question `about`: the panel's verdict, which is asked
    for where there is none, unless the `options` of the request say otherwise (`ask`, `leaving`).

    `material` was read here; None lets the app read what it can see, from `since` seconds before the
    beginning. Raises OpsError with what the app said instead.
    """
    body: dict[str, Any] = {"about": about, "since": since, **options}
    if material is not None:
        body["material"] = material_json(material)
    return post(asked, INVESTIGATE, body)


def sent_of(pack: Pack, may_leave: Mapping[str, str], language: Language, mask: Mask) -> str:
    """What is sent to each provider about the masked `pack`: the instructions, then the evidence."""
    known = Known(pack.subject.services, pack.subject.hosts)
    inquiry = Inquiry(leaving(pack, may_leave), language, mask, known)
    return f"{system_of(inquiry)}\n\n{user_of(inquiry)}"
