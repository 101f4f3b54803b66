"""How a message to Slack is put together: which part of it is which text of techsapo.LOCALE.tmpl.j2.

https://prometheus.io/docs/alerting/latest/configuration/#slack_config
"""

from __future__ import annotations

from typing import Any

_OWN_TEXTS = 'define "techsapo.slack.text"'
"""What texts have that know of Slack; an operator's own template may be older than these."""


def slack_message(texts: str) -> dict[str, Any]:
    """Title, text and fields of a message in Slack's markup, by names of `texts`, the notification texts."""
    if _OWN_TEXTS not in texts:
        return {
            "title": _text("title"),
            "text": _text("text"),
            "fallback": _text("title"),
            "color": _text("color"),
        }
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
