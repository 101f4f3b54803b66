"""How a message to Slack is put together: which part of it is which text of techsapo.LOCALE.tmpl.j2.

https://prometheus.io/docs/alerting/latest/configuration/#slack_config
"""

from __future__ import annotations

from typing import Any


def slack_message() -> dict[str, Any]:
    """Title, text and fields of a message in Slack's markup, by names of the notification texts."""
    return {
        "title": _text("slack.title"),
        # Alertmanager's own default leads to its page, which nobody opens from elsewhere.
        "title_link": _text("slack.title_link"),
        "text": _text("slack.text"),
        "fallback": _text("slack.fallback"),
        "color": _text("color"),
        "fields": [
            {"title": _text(f"slack.{name}"), "value": _text(f"slack.{name}.value"), "short": True}
            for name in ("severity", "since", "stack")
        ],
    }


def _text(name: str) -> str:
    return '{{ template "techsapo.' + name + '" . }}'
