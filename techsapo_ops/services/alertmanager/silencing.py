"""What may be silenced, and for how long at least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from techsapo_ops.adapters.alertmanager import Matcher
from techsapo_ops.catalogue.alerts import WATCHDOG, alerts
from techsapo_ops.messages import msg

SHORTEST = 60.0
"""Seconds that a silence or an acknowledgement lasts at least: Alertmanager refuses one that is over before
it has it, and nobody notices one that ends before the next message."""
HOURS = (1, 2, 4, 8, 24)
"""What the app's forms offer."""
LONGEST_COMMENT = 300
"""Characters of the comment of an acknowledgement, and of a silence that is made on the app's page."""
WHY_NOT_WATCHDOG = msg(
    "its silence is what calls you: whoever watches this stack would be told that it is down"
)


def is_comment(text: str) -> bool:
    """Whether it can stand in a line of a page, a message and a terminal."""
    return len(text) <= LONGEST_COMMENT and text.isprintable()


def mutes_watchdog(matchers: Sequence[Matcher], added: Mapping[str, str]) -> bool:
    """Whether a silence of `matchers` holds for Watchdog, to which Prometheus adds labels."""
    alert = alerts()[WATCHDOG]
    own = {
        "alertname": alert.name,
        "severity": alert.severity,
        "priority": alert.priority,
        "service": alert.service,
    }
    return all(m.holds({**own, **added}) for m in matchers)
