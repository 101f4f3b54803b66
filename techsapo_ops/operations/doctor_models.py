"""What doctor says of models that their vendors retire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from techsapo_ops.messages import msg
from techsapo_ops.spec.model_facts import announced_end
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.stack.diagnosis import HostFinding, Level


def look_at_models(spec: Spec, today: date) -> Iterator[HostFinding]:
    """Each announced end: within 60 days of `today`, or past, it asks for something."""
    for name, provider in spec.providers.items():
        if not provider.enabled or not isinstance(provider, ModelProvider):
            continue
        end = announced_end(provider)
        if end is None:
            continue
        left = (end.retires - today).days
        days = msg("1 day") if left == 1 else msg("{left} days", left=left)
        when = msg("in {days}", days=days) if left > 0 else msg("which is over")
        yield HostFinding(
            "models",
            name,
            Level.WARNING if end.is_near(today) else Level.NOTE,
            msg(
                "its vendor retires {model} on {retires}, {when} ({read})",
                model=provider.model,
                retires=end.retires,
                when=when,
                read=end.source.read,
            ),
            msg("model: {replacement}", replacement=end.replacement)
            if end.replacement
            else msg("choose a current model"),
        )
