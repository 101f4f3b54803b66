"""Exposures: who may reach what, and whom alerts must. Some can be accepted by name, others never."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from techsapo_ops.messages import msg
from techsapo_ops.spec import PRODUCTION, production
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.monitoring import Alertmanager, Prometheus
from techsapo_ops.spec.models.root import ExposureName
from techsapo_ops.spec.problems import Context, Exposure, Finding, Path
from techsapo_ops.spec.store_access import NONE, redis_login

_SHARED_SECRET = re.compile(r"[A-Za-z0-9+/=_-]{32,128}")
_PLAIN = re.compile(r"(?P<kind>rest|s3):(?P<url>http://.*)", re.IGNORECASE | re.DOTALL)
"""A repository that restic reaches without TLS."""


def auth(spec: Spec, _: Context) -> Iterator[Finding]:
    """Whoever reaches the app can spend the budget: beyond loopback only with a key."""
    path: Path = ("app", "auth", "required")
    uses: tuple[Path, ...] = (("app", "host"), ("nginx", "host"))
    if spec.app.auth.sign_in is not None and is_loopback(spec.app.host):
        return  # whom nginx lets in has signed in
    if spec.app.auth.required is False and spec.exposed:
        yield Finding(
            path,
            msg(
                "anyone who can reach {exposed} can spend the providers' budget without an API key",
                exposed=spec.exposed[0],
            ),
            msg("remove `required: false`, or let the app and nginx listen on 127.0.0.1"),
            uses,
        )


def sign_in(spec: Spec, _: Context) -> Iterator[Finding]:
    """nginx asks who signed in, and the app knows nginx by a secret."""
    settings = spec.app.auth.sign_in
    path: Path = ("app", "auth", "sign_in")
    if settings is None:
        return
    if not spec.runs_nginx:
        yield Finding(
            path,
            msg("sign-in needs nginx, which checks who signed in"),
            msg("add `nginx: {{enabled: true}}`"),
        )
    if settings.secret is None or not _SHARED_SECRET.fullmatch(settings.secret.reveal()):
        yield Finding(
            path,
            msg("the secret must be 32 to 128 letters, digits or +/=_-"),
            msg("run `openssl rand -hex 32 > secrets/sign-in` and set secret_file to that file"),
        )


def prometheus_backup(spec: Spec, _: Context) -> Iterator[Finding]:
    """Only this host reaches the admin API by which Prometheus is backed up."""
    prometheus = spec.monitoring.prometheus
    if spec.backup.prometheus and prometheus.enabled and not is_loopback(prometheus.host):
        place: Path = ("monitoring", "prometheus")
        yield Finding(
            ("backup", "prometheus"),
            msg(
                "Prometheus listens on {host} with its admin API on: anyone who can connect can delete its "
                "samples",
                host=prometheus.host,
            ),
            msg("set monitoring.prometheus.host to 127.0.0.1, or backup.prometheus to false"),
            uses=((*place, "host"), (*place, "enabled")),
        )
    elif spec.backup.prometheus and prometheus.enabled and not prometheus.login:
        yield Finding(
            ("backup", "prometheus"),
            msg(
                "any user of this host can read and delete Prometheus's samples: its admin API "
                "requires no login"
            ),
            msg("remove `login: false` from `monitoring.prometheus`"),
            uses=(("monitoring", "prometheus", "login"), ("monitoring", "prometheus", "enabled")),
            warning=True,
        )


def exposures(spec: Spec, environment: str | None) -> tuple[Exposure, ...]:
    """Every exposure of a spec in `environment`, the accepted ones with their reason."""
    checks = (*_CHECKS, *(production.EXPOSURES if environment == PRODUCTION else (_grafana,)))
    every = [exposure for check in checks for exposure in check(spec)]
    return tuple(replace(e, accepted=spec.accepted_exposures.get(e.rule)) for e in every)


def exposed(spec: Spec, context: Context) -> Iterator[Finding]:
    """Exposures that nobody accepted: errors in production, elsewhere warnings."""
    all_exposures = exposures(spec, context.environment)
    for exposure in all_exposures:
        if exposure.accepted is not None:
            continue
        yield Finding(
            exposure.path,
            exposure.message,
            msg(
                "{hint}; if this exposure is intended, write `accepted_exposures: {{{rule}: REASON}}`",
                hint=exposure.hint,
                rule=exposure.rule,
            ),
            exposure.uses,
            warning=context.environment != PRODUCTION,
        )
    yield from _acceptances(spec, {exposure.rule for exposure in all_exposures})


def _acceptances(spec: Spec, needed: set[ExposureName]) -> Iterator[Finding]:
    for rule, reason in spec.accepted_exposures.items():
        path: Path = ("accepted_exposures", rule)
        if not reason.strip():
            yield Finding(
                path, msg("has no reason"), msg("write why this exposure is intended, e.g. TLS ends at lb1")
            )
        elif rule not in needed:
            yield Finding(
                path, msg("the stack no longer has this exposure"), msg("remove this key"), warning=True
            )


def _app(spec: Spec) -> Iterator[Exposure]:
    if not is_loopback(spec.app.host):
        yield Exposure(
            "app-plain-http",
            ("app", "host"),
            msg(
                "the app listens on {host} over plain HTTP: API keys and answers can be read in transit",
                host=spec.app.host,
            ),
            msg("set app.host to 127.0.0.1 and put nginx with a certificate in front of the app"),
        )


def _nginx(spec: Spec) -> Iterator[Exposure]:
    host = spec.nginx_host
    if not spec.runs_nginx or is_loopback(host):
        return
    uses: tuple[Path, ...] = (("nginx",), ("certificates",), ("app", "instances"))
    message = msg(
        "nginx answers on {host} over plain HTTP: API keys and answers can be read in transit",
        host=host,
    )
    if spec.served_certificate is None:
        hint = msg("add a certificate under `certificates`")
        yield Exposure("nginx-plain-http", ("nginx", "host"), message, hint, uses)


def _grafana(spec: Spec) -> Iterator[Exposure]:
    """Outside production the documented password is an exposure where others reach it."""
    grafana = spec.monitoring.grafana
    if is_loopback(grafana.host):
        return
    for exposure in production.documented_password(spec):
        message = msg("Grafana listens on {host} with the documented default password", host=grafana.host)
        yield replace(exposure, message=message)


def _monitoring(spec: Spec) -> Iterator[Exposure]:
    """Who may read all metrics, or silence every alert."""
    monitoring = spec.monitoring
    servers: tuple[tuple[ExposureName, str, str, Prometheus | Alertmanager], ...] = (
        ("prometheus-without-login", "prometheus", msg("read every metric"), monitoring.prometheus),
        ("alertmanager-without-login", "alertmanager", msg("silence every alert"), monitoring.alertmanager),
    )
    for rule, key, power, server in servers:
        if not server.enabled or is_loopback(server.host):
            continue
        path: Path = ("monitoring", key)
        where, uses = (
            msg("{key} listens on {host}", key=key.capitalize(), host=server.host),
            ((*path, "enabled"), (*path, "login")),
        )
        if server.login:
            yield _plain_login((*path, "host"), where, uses)
        else:
            message = msg(
                "{where} without a login: anyone who can reach it can {power}", where=where, power=power
            )
            yield Exposure(
                rule, (*path, "host"), message, msg("remove `login: false`, or listen on 127.0.0.1"), uses
            )
    grafana = monitoring.grafana
    if grafana.enabled and not is_loopback(grafana.host):
        path = ("monitoring", "grafana")
        where = msg("Grafana listens on {host}", host=grafana.host)
        yield _plain_login((*path, "host"), where, ((*path, "enabled"),))


def _plain_login(path: Path, where: str, uses: tuple[Path, ...]) -> Exposure:
    return Exposure(
        "monitoring-plain-http",
        path,
        msg("{where} over plain HTTP: its password can be read in transit", where=where),
        msg("set this host to 127.0.0.1 and connect through a tunnel or a proxy with TLS"),
        uses,
    )


def _redis(spec: Spec) -> Iterator[Exposure]:
    """Who may rewrite answers and empty budgets; on loopback that is any user of this host."""
    redis = spec.redis
    path: Path = ("redis", "host")
    uses: tuple[Path, ...] = (("redis",),)
    if not redis.enabled:
        return
    if redis_login(spec) == NONE:
        everywhere = "" if is_loopback(redis.host) else msg(" and listens on {host}", host=redis.host)
        where: Path = path if everywhere else ("redis", "accounts")
        message = msg(
            "Redis requires no login{everywhere}: anyone who can reach it can change answers and budgets",
            everywhere=everywhere,
        )
        yield Exposure("redis-without-login", where, message, msg("remove `accounts: false`"), uses)
    elif not is_loopback(redis.host) and not redis.tls:
        message = msg(
            "Redis listens on {host} without TLS: its password can be read in transit", host=redis.host
        )
        yield Exposure("redis-plain-text", path, message, msg("add `redis: {{tls: true}}`"), uses)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # it has half an IPv6 address; nothing goes there, and restic says so
        return None


def _offsite(spec: Spec) -> Iterator[Exposure]:
    """restic encrypts what it copies; who logs in how, and what is copied when, goes as the address says."""
    offsite = spec.backup.offsite
    match = _PLAIN.match(offsite.restic) if offsite is not None else None
    host = _host(match["url"]) if match is not None else None
    if match is None or not host or is_loopback(host):
        return
    readable = (
        msg("the login and the time and size of each copy")
        if match["kind"] == "rest"
        else msg("the time and size of each copy")
    )
    yield Exposure(
        "offsite-plain-http",
        ("backup", "offsite", "restic"),
        msg(
            "backups go to {host} over plain HTTP: {readable} can be read in transit, and the "
            "transfer can be blocked",
            host=host,
            readable=readable,
        ),
        msg("use a repository at {kind}:https://… or sftp:…", kind=match["kind"]),
    )


def _pruned(spec: Spec) -> Iterator[Exposure]:
    """Who takes this host over finds what deletes the copies elsewhere too."""
    offsite = spec.backup.offsite
    if offsite is not None and offsite.prune:
        yield Exposure(
            "offsite-prune",
            ("backup", "offsite", "prune"),
            msg(
                "this host is allowed to delete off-site copies: anyone who takes over this host can delete "
                "them all"
            ),
            msg("remove `prune: true`, and let the server that stores the copies delete old copies"),
        )


_CHECKS: tuple[Callable[[Spec], Iterator[Exposure]], ...] = (
    _app, _nginx, _redis, _monitoring, _offsite, _pruned,
)  # fmt: skip
