"""What a manager's API says of its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping


def nodes_answer(labels: Mapping[str, str], **changes: object) -> str:
    """The answer to GET /nodes: ready managers of these names with their labels; `changes` of each entry."""
    nodes = [
        {
            "ID": f"node-{name}",
            "Description": {"Hostname": name},
            "Spec": {"Availability": "active", "Labels": {"techsapo": label} if label else {}},
            "Status": {"State": "ready", "Addr": "10.0.0.9"},
            "ManagerStatus": {"Reachability": "reachable", "Addr": "10.0.0.9:2377"},
            **changes,
        }
        for name, label in labels.items()
    ]
    return f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{json.dumps(nodes)}"
