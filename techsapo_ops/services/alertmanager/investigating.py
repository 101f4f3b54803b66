"""How Alertmanager tells the app of alerts, for investigations: a route beside all others, and its own key.

The route comes first and goes on, so that nothing else waits for it or is told otherwise. It is muted and
inhibited like every other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.alerts import DRILL_LABEL
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.services.alertmanager.routes import TEST_LABEL
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology

RECEIVER = "investigate"
KEY = "alerts-key"
"""The name under which a container gets the key."""
PATH = "/api/v1/alerts"
MOST_ALERTS = 100
"""Alerts of one message: with texts of theirs, it stays below the largest body that the app takes."""


def investigates(topology: Topology) -> bool:
    """Whether alerts are reported to the app."""
    wanted = topology.spec.investigate is not None
    return wanted and all(topology.has(kind) for kind in ("app", "alertmanager"))


def route() -> dict[str, Any]:
    """All but tests, drills and what is sent once more for the next receivers. Groups are sent at once."""
    aside = [f'{name}=""' for name in (NEXT, TEST_LABEL, DRILL_LABEL)]
    times = {"group_wait": "0s", "group_interval": "10s", "repeat_interval": "4h"}
    return {"receiver": RECEIVER, "matchers": aside, **times, "continue": True}


def receiver(topology: Topology) -> dict[str, Any]:
    """Every instance of the app: whichever is there takes it, and what several take is one incident."""
    login = {"authorization": {"credentials_file": str(_seen(topology, "alertmanager"))}}
    return {
        "name": RECEIVER,
        "webhook_configs": [
            {
                "url": topology.address(app, Viewpoint.SERVICE).url(PATH),
                "send_resolved": True,
                "max_alerts": MOST_ALERTS,
                "http_config": login,
            }
            for app in topology.of_kind("app")
        ],
    }


def key_file(layout: Layout) -> Path:
    """The key, for the tool itself."""
    return layout.keys / KEY


def copy_for(layout: Layout, reader: str) -> Path:
    """The copy of a service of kind `reader`, which reads it at each request: a file has one owner."""
    return layout.keys / f"{KEY}.{reader}"


def given(topology: Topology, reader: str) -> Mapping[str, Path]:
    """The copy of a service of kind `reader`, by the name under which its container gets it."""
    return {KEY: copy_for(topology.layout, reader)} if investigates(topology) else {}


def key_options(topology: Topology) -> tuple[str, ...]:
    """`--alerts-key FILE` for the app, as it sees it."""
    return (f"--{KEY}", str(_seen(topology, "app"))) if investigates(topology) else ()


def _seen(topology: Topology, reader: str) -> Path:
    return topology.places.seen(copy_for(topology.layout, reader), topology.secret_path(KEY))
