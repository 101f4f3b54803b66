"""What environment production alone requires: keys, real providers, no documented password, somebody who is
alerted. That exposures are errors there is in spec/exposure.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from techsapo_ops.messages import msg
from techsapo_ops.spec import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.monitoring import GRAFANA_DOCUMENTED_PASSWORD
from techsapo_ops.spec.problems import Context, Exposure, Finding, Path, Rule
from techsapo_ops.spec.providers import nobody_to_ask, too_few, unfilled_tiers


def keys_required(spec: Spec, _: Context) -> Iterator[Finding]:
    """Nobody is answered without an API key, not even on this host."""
    behind_sign_in = spec.app.auth.sign_in is not None and is_loopback(spec.app.host)
    if spec.app.auth.required is False and not spec.exposed and not behind_sign_in:
        yield Finding(
            ("app", "auth", "required"),
            msg("environment {production} requires an API key for every request", production=PRODUCTION),
            msg("remove this key"),
        )


def real_providers(spec: Spec, context: Context) -> Iterator[Finding]:
    """Enough real providers answer, and no simulated one."""
    path: Path = ("providers",)
    enabled = {name: provider for name, provider in spec.providers.items() if provider.enabled}
    simulated = [name for name, provider in enabled.items() if provider.simulated]
    if simulated and not context.written(path):
        yield Finding(
            path,
            msg(
                "no providers are configured, so simulated ones are used; environment {production} does not "
                "allow those",
                production=PRODUCTION,
            ),
            msg(
                "configure at least {providers} real providers",
                providers=spec.wallbounce.tiers.basic.providers,
            ),
        )
        return
    for name in simulated:
        yield Finding(
            (*path, name),
            msg(
                "is simulated, and environment {production} does not allow simulated providers",
                production=PRODUCTION,
            ),
            msg("remove the provider in the overlay: `{name}: null`", name=name),
        )
    real = len(enabled) - len(simulated)
    if not enabled:
        yield nobody_to_ask(spec, context)
    elif real < spec.wallbounce.tiers.basic.providers:
        yield too_few(spec, real)
    else:
        yield from unfilled_tiers(spec, context, real)


RULES: tuple[Rule, ...] = (keys_required, real_providers)


def documented_password(spec: Spec) -> Iterator[Exposure]:
    """Grafana's is published in the guide: whoever reaches it has it."""
    grafana = spec.monitoring.grafana
    path: Path = ("monitoring", "grafana")
    if grafana.enabled and grafana.admin_password.reveal() == GRAFANA_DOCUMENTED_PASSWORD:
        yield Exposure(
            "grafana-default-password",
            (*path, "admin_password" if grafana.admin_password.file is None else "admin_password_file"),
            msg(
                "environment {production} does not allow the documented default password",
                production=PRODUCTION,
            ),
            msg("`techsapo init` generates a password file; set admin_password_file to that file"),
            ((*path, "enabled"), (*path, "host")),
        )


def _listeners(spec: Spec) -> Iterator[Exposure]:
    """Somebody is told of what pages, and somebody elsewhere that nothing is told any more."""
    uses: tuple[Path, ...] = (
        ("notifications",),
        ("monitoring", "alertmanager"),
        ("monitoring", "prometheus"),
    )
    if not {"page", "critical"}.isdisjoint(spec.unreached):
        message, _, hint = spec.nobody_notified.partition(": ")
        listed = "page" if spec.wakes_nobody else "critical"
        yield Exposure("no-critical-receiver", ("notifications", listed), message, hint, uses)
    if spec.watched_by_nobody:
        message, _, hint = spec.watched_by_nobody.partition(": ")
        yield Exposure("no-watcher", ("notifications", "watchdog"), message, hint, uses)


EXPOSURES: tuple[Callable[[Spec], Iterator[Exposure]], ...] = (documented_password, _listeners)
