"""Exposures: who may reach what, and whom alerts must. Some can be accepted by name, others never."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from techsapo_ops.messages import msg
from techsapo_ops.spec.edition import FIRST, LATEST, PRODUCTION, Deployment, Edition, chosen, edition_of
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.monitoring import GRAFANA_DOCUMENTED_PASSWORD, Alertmanager, Prometheus
from techsapo_ops.spec.models.root import ANY_ADDRESS, ExposureName
from techsapo_ops.spec.problems import Path
from techsapo_ops.spec.redis_login import NONE, redis_login


@dataclass(frozen=True, slots=True)
class Exposure:
    """Something that others than intended may reach, or that nobody would hear of; `accepted` is the reason
    for which it is meant.

    `uses` are the paths on which it rests, as of a Finding.
    """

    rule: ExposureName
    path: Path
    message: str
    hint: str
    uses: tuple[Path, ...] = ()
    accepted: str | None = None


_SHARED_SECRET = re.compile(r"[A-Za-z0-9+/=_-]{32,128}")
_PLAIN = re.compile(r"(?P<kind>rest|s3):(?P<url>http://.*)", re.IGNORECASE | re.DOTALL)
"""A repository that restic reaches without TLS."""
_BY_PROGRAM = ("sftp:", "rclone:")
"""Repositories that restic reaches by another program."""


def auth(spec: Spec, context: Context) -> Iterator[Finding]:
    """Whoever reaches the app can spend the budget: beyond loopback only with a key."""
    path: Path = ("app", "auth", "required")
    uses: tuple[Path, ...] = (("app", "host"), ("nginx", "host"))
    if spec.app.auth.sign_in is not None and is_loopback(spec.app.host):
        return  # whom nginx lets in has signed in
    if spec.app.auth.required is False and spec.exposed:
        yield Finding(
            path,
            msg(
                "whoever reaches {exposed} could spend the providers' budget without a key",
                exposed=spec.exposed[0],
            ),
            msg("remove it, or listen on 127.0.0.1"),
            uses,
        )
    elif spec.app.auth.required is False and context.strict:
        yield Finding(
            path,
            msg("environment {production} answers nobody without an API key", production=PRODUCTION),
            msg("remove it"),
        )


def sign_in(spec: Spec, _: Context) -> Iterator[Finding]:
    """nginx asks who signed in, and the app knows nginx by a secret."""
    found = spec.app.auth.sign_in
    path: Path = ("app", "auth", "sign_in")
    if found is None:
        return
    if not spec.runs_nginx:
        yield Finding(path, msg("it is nginx that asks who signed in"), msg("add `nginx: {{enabled: true}}`"))
    if found.secret is None or not _SHARED_SECRET.fullmatch(found.secret.reveal()):
        yield Finding(
            path,
            msg("the secret must be 32 to 128 letters, digits or +/=_-"),
            msg("`openssl rand -hex 32 > secrets/sign-in`, and name that file by secret_file"),
        )


def scheduler(spec: Spec, _: Context) -> Iterator[Finding]:
    """A scheduler in a container is given what its jobs need."""
    socket = spec.schedule.docker_socket
    path: Path = ("schedule", "docker_socket")
    if socket is None:
        return
    if not socket.startswith("/"):
        yield Finding(
            path, msg("{socket} is not an absolute path", socket=socket), msg("e.g. /var/run/docker.sock")
        )
    offsite = spec.backup.offsite
    if spec.schedule.by == "service" and offsite is not None and offsite.restic.startswith(_BY_PROGRAM):
        kind = offsite.restic.partition(":")[0]
        yield Finding(
            path,
            msg("the scheduler's image has not what {kind}: in backup.offsite.restic needs", kind=kind),
            msg("remove it, and set `schedule.by: cron`"),
            uses=(("backup", "offsite", "restic"),),
        )


def prometheus_backup(spec: Spec, context: Context) -> Iterator[Finding]:
    """Only this host reaches the admin API by which Prometheus is backed up."""
    prometheus = spec.monitoring.prometheus
    if spec.backup.prometheus and prometheus.enabled and not is_loopback(prometheus.host):
        place: Path = ("monitoring", "prometheus")
        yield Finding(
            ("backup", "prometheus"),
            msg(
                "Prometheus listens on {host}: whoever reaches it could delete its samples",
                host=prometheus.host,
            ),
            msg("let it listen on 127.0.0.1, or leave its samples out of the backup"),
            uses=((*place, "host"), (*place, "enabled")),
        )
    elif (
        spec.backup.prometheus and prometheus.enabled and not chosen(prometheus.login, context.edition(spec))
    ):
        yield Finding(
            ("backup", "prometheus"),
            msg(
                "any user of this host can read and delete Prometheus's samples: its admin API asks "
                "for no login"
            ),
            msg("add `monitoring: {{prometheus: {{login: true}}}}`"),
            uses=(("monitoring", "prometheus", "login"), ("monitoring", "prometheus", "enabled")),
            warning=True,
        )


def exposures(spec: Spec, deployment: Deployment) -> tuple[Exposure, ...]:
    """Every exposure of a spec, the accepted ones with their reason."""
    found = [exposure for look in _LOOKS for exposure in look(spec, deployment)]
    return tuple(replace(e, accepted=spec.accepted_exposures.get(e.rule)) for e in found)


def exposed(spec: Spec, context: Context) -> Iterator[Finding]:
    """Exposures that nobody accepted: errors in production, elsewhere warnings.

    A stack that runs in production since before there were these rules is warned for one version.
    """
    found = exposures(spec, context.deployment)
    begun = context.deployment.began_with == FIRST and spec.edition != LATEST
    for exposure in found:
        if exposure.accepted is not None:
            continue
        lenient = begun and exposure.rule not in _ALWAYS_REFUSED
        yield Finding(
            exposure.path,
            exposure.message + (_AN_ERROR_SOON if context.strict and lenient else ""),
            msg(
                "{hint}; where it is meant: `accepted_exposures: {{{rule}: REASON}}`",
                hint=exposure.hint,
                rule=exposure.rule,
            ),
            exposure.uses,
            warning=lenient or not context.strict,
        )
    yield from _acceptances(spec, {exposure.rule for exposure in found})


def _acceptances(spec: Spec, needed: set[ExposureName]) -> Iterator[Finding]:
    for rule, reason in spec.accepted_exposures.items():
        path: Path = ("accepted_exposures", rule)
        if not reason.strip():
            yield Finding(path, msg("gives no reason"), msg("say why it is meant, e.g. TLS ends at lb1"))
        elif rule not in needed:
            yield Finding(path, msg("nothing is exposed so any more"), msg("remove it"), warning=True)


_AN_ERROR_SOON = msg(
    "; from the next version on this is an error in environment {production}", production=PRODUCTION
)
_ALWAYS_REFUSED: frozenset[ExposureName] = frozenset({"grafana-default-password"})
"""Was an error in production before there was this list."""


def _app(spec: Spec, _: Deployment) -> Iterator[Exposure]:
    if not is_loopback(spec.app.host):
        yield Exposure(
            "app-plain-http",
            ("app", "host"),
            msg(
                "the app listens on {host} by plain HTTP: API keys and answers can be read on the way",
                host=spec.app.host,
            ),
            msg("let it listen on 127.0.0.1 and put nginx with a certificate in front of it"),
        )


def _nginx(spec: Spec, _: Deployment) -> Iterator[Exposure]:
    # Of several hosts each has its port on all its addresses, whatever `nginx.host` says.
    host = ANY_ADDRESS if spec.hosts else spec.nginx.host
    if not spec.runs_nginx or is_loopback(host):
        return
    uses: tuple[Path, ...] = (("nginx",), ("certificates",), ("app", "instances"))
    message = msg(
        "nginx answers on {host} by plain HTTP: API keys and answers can be read on the way",
        host=host,
    )
    if spec.served_certificate is None:
        hint = msg("describe a certificate under `certificates`")
        yield Exposure("nginx-plain-http", ("nginx", "host"), message, hint, uses)
    elif not spec.nginx.redirect:
        yield Exposure(
            "nginx-plain-http", ("nginx", "redirect"), message, msg("remove `redirect: false`"), uses
        )


def _grafana(spec: Spec, deployment: Deployment) -> Iterator[Exposure]:
    """Its password is published in the guide: whoever reaches it has it."""
    grafana = spec.monitoring.grafana
    path: Path = ("monitoring", "grafana")
    if not grafana.enabled or grafana.admin_password.reveal() != GRAFANA_DOCUMENTED_PASSWORD:
        return
    strict = deployment.environment == PRODUCTION
    if strict or not is_loopback(grafana.host):
        refusal = msg(
            "environment {production} refuses the documented default password", production=PRODUCTION
        )
        yield Exposure(
            "grafana-default-password",
            (*path, "admin_password" if grafana.admin_password.file is None else "admin_password_file"),
            refusal
            if strict
            else msg("Grafana listens on {host} with the documented default password", host=grafana.host),
            msg("`techsapo init` makes a fresh one; name its file by admin_password_file"),
            ((*path, "enabled"), (*path, "host")),
        )


def _monitoring(spec: Spec, deployment: Deployment) -> Iterator[Exposure]:
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
        if chosen(server.login, _edition(spec, deployment)):
            yield _plain_login((*path, "host"), where, uses)
        else:
            message = msg("{where} without a login: whoever reaches it can {power}", where=where, power=power)
            yield Exposure(
                rule, (*path, "host"), message, msg("add `login: true`, or listen on 127.0.0.1"), uses
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
        msg("{where} by plain HTTP: its password can be read on the way", where=where),
        msg("let it listen on 127.0.0.1 and reach it by a tunnel or a proxy with TLS"),
        uses,
    )


def _edition(spec: Spec, deployment: Deployment) -> Edition:
    """A spec that is looked at alone is taken for a new stack's."""
    return edition_of(spec.edition, deployment.environment, deployment.began_with or LATEST)


def _redis(spec: Spec, deployment: Deployment) -> Iterator[Exposure]:
    """Who may rewrite answers and empty budgets; on loopback that is any user of this host.

    A stack of the first edition, which says nothing of it, is told among its older defaults.
    """
    redis, edition = spec.redis, _edition(spec, deployment)
    path: Path = ("redis", "host")
    uses: tuple[Path, ...] = (("redis",),)
    if not redis.enabled:
        return
    if redis_login(spec, edition) == NONE:
        everywhere = "" if is_loopback(redis.host) else msg(" and listens on {host}", host=redis.host)
        if everywhere or redis.accounts is False or deployment.environment == PRODUCTION:
            where: Path = path if everywhere else ("redis", "accounts")
            message = msg(
                "Redis asks for no login{everywhere}: whoever reaches it can rewrite answers and budgets",
                everywhere=everywhere,
            )
            yield Exposure(
                "redis-without-login", where, message, msg("add `redis: {{accounts: true}}`"), uses
            )
    elif not is_loopback(redis.host) and not redis.tls:
        message = msg(
            "Redis listens on {host} in plain text: its password can be read on the way", host=redis.host
        )
        yield Exposure("redis-plain-text", path, message, msg("add `redis: {{tls: true}}`"), uses)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # it has half an IPv6 address; nothing goes there, and restic says so
        return None


def _offsite(spec: Spec, _: Deployment) -> Iterator[Exposure]:
    """restic encrypts what it copies; who logs in how, and what is copied when, goes as the address says."""
    offsite = spec.backup.offsite
    found = _PLAIN.match(offsite.restic) if offsite is not None else None
    host = _host(found["url"]) if found is not None else None
    if found is None or not host or is_loopback(host):
        return
    readable = (
        msg("its login, and what is copied when,") if found["kind"] == "rest" else msg("what is copied when")
    )
    yield Exposure(
        "offsite-plain-http",
        ("backup", "offsite", "restic"),
        msg(
            "backups go to {host} by plain HTTP: {readable} can be read on the way, and be cut off",
            host=host,
            readable=readable,
        ),
        msg("{found}:https://…, or an sftp: repository", found=found["kind"]),
    )


def _listeners(spec: Spec, deployment: Deployment) -> Iterator[Exposure]:
    """In production somebody is told of what pages, and somebody elsewhere that nothing is told any more."""
    if deployment.environment != PRODUCTION:
        return
    uses: tuple[Path, ...] = (
        ("notifications",),
        ("monitoring", "alertmanager"),
        ("monitoring", "prometheus"),
    )
    if "critical" in spec.unreached:
        message, _, hint = spec.told_nobody.partition(": ")
        yield Exposure("no-critical-receiver", ("notifications", "critical"), message, hint, uses)
    if spec.watched_by_nobody:
        message, _, hint = spec.watched_by_nobody.partition(": ")
        yield Exposure("no-watcher", ("notifications", "watchdog"), message, hint, uses)


_LOOKS: tuple[Callable[[Spec, Deployment], Iterator[Exposure]], ...] = (
    _app, _nginx, _redis, _monitoring, _grafana, _offsite, _listeners,
)  # fmt: skip
