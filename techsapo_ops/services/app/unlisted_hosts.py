"""The host names that clients of the app use and the spec does not list, for doctor."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from techsapo_ops.messages import joined, msg
from techsapo_ops.services.probing import ask
from techsapo_ops.spec.hosts import SETTING
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.service_facts import Probe
from techsapo_ops.stack.topology import Topology

_HEALTH = Probe("http", "/api/v1/health")
_TIMEOUT = 2.0


def look_at_hosts(topology: Topology) -> Iterator[HostFinding]:
    """One finding for all instances that answer, with the line that lists the names; none without a name."""
    asked: Counter[str] = Counter()
    last: dict[str, str] = {}
    for service in topology.of_kind("app"):
        for told in _told(ask(topology, service, _TIMEOUT, _HEALTH).body):
            name = str(told["name"])
            asked[name] += int(told["requests"])
            last[name] = max(last.get(name, ""), str(told["last_seen"]))
    if not asked:
        return
    app = topology.spec.app
    names = [name for name, _ in sorted(asked.items(), key=lambda n: (-n[1], n[0]))]
    shown = joined(
        ", ",
        (
            msg("{name} ({asked} requests, last on {last})", name=name, asked=asked[name], last=last[name])
            for name in names
        ),
    )
    line = f"allowed_hosts: [{', '.join((*app.allowed_hosts, *names))}]"
    yield HostFinding(
        "hosts",
        "host names",
        Level.NOTE,
        msg("refused: {shown}", shown=shown),
        msg(
            "for those that are yours add below `app:` in the spec `{line}` ({setting})",
            line=line,
            setting=SETTING,
        ),
    )


def _told(body: bytes) -> Iterable[dict[str, Any]]:
    """What an instance tells; nothing where it is not running."""
    try:
        found = json.loads(body)
    except ValueError:
        return ()
    told = found.get("unlisted_hosts") if isinstance(found, dict) else None
    return told if isinstance(told, list) else ()
