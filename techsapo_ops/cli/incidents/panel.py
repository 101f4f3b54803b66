"""What `techsapo why` asks of the app: incidents, and the panel's verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from techsapo_ops.cli.app.orchestrator import Orchestrator, post
from techsapo_ops.incidents.bundle import material_json
from techsapo_ops.incidents.evidence import Pack
from techsapo_ops.incidents.material import Material
from techsapo_ops.incidents.pack import leaving

INVESTIGATE = "/api/v1/incidents/investigate"


def verdict_of(asked: Orchestrator, about: str, since: float, material: Material | None) -> dict[str, Any]:
    """What the panel of a running app says of the alert, incident or question `about`.

    `material` was read here; None lets the app read what it can see, from `since` seconds before the
    beginning. Raises OpsError with what the app said instead.
    """
    body: dict[str, Any] = {"about": about, "since": since}
    if material is not None:
        body["material"] = material_json(material)
    return post(asked, INVESTIGATE, body)


def sent_of(pack: Pack, may_leave: Mapping[str, str]) -> str:
    """What of the evidence is sent to the providers, as they read it."""
    pieces = leaving(pack, may_leave).pieces
    return "\n".join(f"[{p.id}] {p.source}: {p.text}" + (f"\n{p.sample}" if p.sample else "") for p in pieces)
