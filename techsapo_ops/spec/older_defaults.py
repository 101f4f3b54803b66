"""Which safer defaults a stack does not have yet, since it began before they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.edition import FIRST, LATEST, edition_of
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import ModelProvider, OpenRouterProvider
from techsapo_ops.spec.problems import Path, dotted


@dataclass(frozen=True, slots=True)
class SaferDefault:
    """A field whose default got safer with the second edition, and in a few words what the first one had."""

    path: Path
    first: str
    concerns: Callable[[Spec], bool] = lambda _: True
    """Whether it matters to a spec: not where it has no such part, or says in another field what holds."""


def _hsts(spec: Spec) -> bool:
    from techsapo_ops.spec.hsts import is_public  # for stacks of the first edition alone

    return is_public(spec)


def _cut_off(spec: Spec) -> bool:
    models = [p for p in spec.providers.values() if p.enabled and isinstance(p, ModelProvider)]
    if not models:
        return False
    from techsapo_ops.spec.model_facts import answer_length  # for specs with a language model alone

    return any(answer_length(p, FIRST).tokens < answer_length(p, LATEST).tokens for p in models)


def _routes_freely(spec: Spec) -> bool:
    routed = [p for p in spec.providers.values() if p.enabled and isinstance(p, OpenRouterProvider)]
    return any(p.provider is None or p.provider.require_parameters is None for p in routed)


def _may_be_probed(spec: Spec) -> bool:
    return spec.monitoring.prometheus.enabled and not spec.monitoring.probes


SAFER: tuple[SaferDefault, ...] = (
    SaferDefault(("app", "refuse_other_hosts"), msg("any host name is answered")),
    SaferDefault(
        ("app", "auth", "monitoring_networks"),
        msg("every private address reads metrics and status without a key"),
    ),
    SaferDefault(("monitoring", "prometheus", "login"), msg("Prometheus asks for no login")),
    SaferDefault(("monitoring", "alertmanager", "login"), msg("Alertmanager asks for no login")),
    SaferDefault(
        ("redis", "accounts"),
        msg("no login at Redis"),
        lambda s: s.redis.enabled and s.redis.password is None,
    ),
    SaferDefault(("nginx", "hsts"), msg("browsers may come back by plain HTTP"), _hsts),
    SaferDefault(
        ("nginx", "retry_keyed"),
        msg("a question is lost with the instance that works on it"),
        lambda s: s.runs_nginx and s.redis.enabled,
    ),
    SaferDefault(
        ("app", "limits", "key_shares"), msg("one API key may take every place"), lambda s: s.needs_keys
    ),
    SaferDefault(("audit", "durability"), msg("answers do not wait for their audit rows")),
    SaferDefault(
        ("wallbounce", "mask"), msg("secrets leave unmasked"), lambda s: not s.wallbounce.mask_prompts
    ),
    SaferDefault(
        ("providers", "NAME", "provider", "require_parameters"),
        msg("an endpoint behind OpenRouter may ignore the answer's schema"),
        _routes_freely,
    ),
    SaferDefault(
        ("providers", "NAME", "max_output_tokens"),
        msg("answers end after 4096 tokens, thinking included"),
        _cut_off,
    ),
    SaferDefault(("wallbounce", "language"), msg("answers are in the language of what was sent")),
    SaferDefault(
        ("monitoring", "exporters", "blackbox", "enabled"),
        msg("nobody asks the front as users do"),
        _may_be_probed,
    ),
    SaferDefault(
        ("schedule", "verify_offsite"),
        msg("nobody sees whether the off-site copies come back"),
        lambda s: s.backup.offsite is not None and s.schedule.by != "none",
    ),
    SaferDefault(
        ("schedule", "drill_restore"),
        msg("no restore is drilled by itself"),
        lambda s: s.schedule.by != "none",
    ),
    SaferDefault(
        ("schedule", "drill_alert"),
        msg("no alert is drilled by itself"),
        lambda s: s.schedule.by != "none" and s.monitoring.sends_alerts,
    ),
    SaferDefault(("schedule", "report"), msg("no weekly report is sent"), lambda s: s.schedule.by != "none"),
)
"""As in the table of docs/upgrade.md, which a test compares."""


def older_defaults(spec: Spec, context: Context) -> Iterator[Finding]:
    """A stack that keeps the first edition's defaults is told which, until its spec names an edition."""
    where = context.deployment
    if where.began_with is None or spec.edition is not None:
        return
    mine = edition_of(spec.edition, where.environment, where.began_with)
    unsaid = [default for default in SAFER if default.concerns(spec) and not context.written(default.path)]
    first = joined(
        ", ", (msg("{first} ({path})", first=default.first, path=dotted(default.path)) for default in unsaid)
    )
    if not unsaid:
        return
    if mine == FIRST:
        yield Finding(
            ("edition",),
            msg("this stack has older defaults: {first}", first=first),
            msg(
                "`edition: {latest}` takes the safer ones; docs/upgrade.md says what they change",
                latest=LATEST,
            ),
            warning=True,
        )
    elif where.began_with == FIRST:
        yield Finding(
            ("edition",),
            msg(
                "environment {environment} has safer defaults than this stack began with. Before: {first}",
                environment=where.environment,
                first=first,
            ),
            msg(
                "docs/upgrade.md says what changes; `edition: {latest}` takes them, `edition: "
                "{first}` does not",
                latest=LATEST,
                first=FIRST,
            ),
            warning=True,
        )
