"""What an alert's messages say about who has it: Prometheus looks it up whenever it evaluates the alert."""

from __future__ import annotations

from techsapo_ops.catalogue.rules import NEXT, OF_THE_RULE, SINCE

HELD = "techsapo_alert_acknowledged"
"""The app's metric of who has what: the alert's name, what tells it from others of that name, and who."""
_ELSE = "|".join(("__name__", *OF_THE_RULE, SINCE, NEXT))


def holder_text(alert: str) -> str:
    """The names of those who have the alert, or nothing; while no instance of the app answers, nothing."""
    held = f'max by (by) ({HELD}{{alert=\\"{alert}\\",of=%q}})'
    return (
        '{{ $of := "" }}{{ range $name, $value := $labels }}'
        f'{{{{ if not (match "^({_ELSE})$" $name) }}}}'
        '{{ if $of }}{{ $of = printf "%s, " $of }}{{ end }}{{ $of = printf "%s%s=%s" $of $name $value }}'
        "{{ end }}{{ end }}"
        f'{{{{ range $n, $held := query (printf "{held}" $of) }}}}'
        "{{ if $n }}, {{ end }}{{ $held.Labels.by }}{{ end }}"
    )
