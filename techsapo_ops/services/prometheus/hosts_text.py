"""What an alert's messages say about which hosts it concerns: Prometheus looks it up, as who has it."""

from __future__ import annotations

import json

_NONE = {"ja": "不明", "en": "a host that is not known"}


def hosts_text(expr: str, locale: str) -> str:
    """The hosts that `expr` has, by their names; a word of its own where that is none."""
    asked = json.dumps(" ".join(expr.split()))
    return (
        f'{{{{ range $n, $each := query {asked} | sortByLabel "host" }}}}'
        "{{ if $n }}, {{ end }}{{ $each.Labels.host }}"
        f"{{{{ else }}}}{_NONE[locale]}{{{{ end }}}}"
    )
