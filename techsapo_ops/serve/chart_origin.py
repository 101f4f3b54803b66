"""What brings the figures of a panel, so that one without any can say what to do."""

from __future__ import annotations

import re

from techsapo_ops.catalogue.dashboards import Panel
from techsapo_ops.serve.bodies.monitoring import Origin

_ORIGINS: tuple[tuple[re.Pattern[str], Origin], ...] = (
    (re.compile(r"\btechsapo_backups?_?"), "backups"),
    (re.compile(r"\btechsapo_cert_"), "certificates"),
    (re.compile(r"\bprobe_ssl_"), "tls"),
    (re.compile(r"\btechsapo_(job|drift|costs)_"), "jobs"),
    (re.compile(r"\btechsapo[_:](wallbounce|llm|cache_hits)"), "questions"),
    (re.compile(r"\btechsapo[_:](http|auth|rate_limit|anomaly)"), "requests"),
)


def origin_of(panel: Panel) -> Origin:
    """By the series that its first expression names; what servers and exporters have comes by scraping."""
    expr = panel.queries[0].expr
    return next((origin for pattern, origin in _ORIGINS if pattern.search(expr)), "scrapes")
