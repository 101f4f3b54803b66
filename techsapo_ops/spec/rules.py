"""What must hold across fields: each rule is a small function over the whole spec.

A rule yields findings; `uses` lists every path it looked at, so that the loader can leave out what was
concluded from a value that is wrong itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path as FilePath

from techsapo_ops.messages import msg
from techsapo_ops.spec import PRODUCTION, production
from techsapo_ops.spec.exposure import auth, exposed, prometheus_backup, sign_in
from techsapo_ops.spec.machines import machines, redis_of_machines
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.servers import Certificate
from techsapo_ops.spec.models.upkeep import FOLDER
from techsapo_ops.spec.notified import (
    addresses,
    business_hours,
    next_receivers,
    receiver_names,
    receivers,
    smtp,
)
from techsapo_ops.spec.ports import port_conflicts
from techsapo_ops.spec.problems import Context, Finding, Path, Rule, did_you_mean, dotted
from techsapo_ops.spec.providers import bodies, exposed_key, keys, options, providers, retiring
from techsapo_ops.spec.redact import urls
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.spec.watched import alerts, probes, scrape, scrape_interval, tracing

_BASE64 = re.compile(r"([A-Za-z0-9+/_-]{4})*([A-Za-z0-9+/_-]{2,3}=*)?")


def ports(spec: Spec, context: Context) -> Iterator[Finding]:
    """No two services that run take the same port."""
    for conflict in port_conflicts(spec, context.written):
        if not conflict.taken_path:
            yield Finding(
                conflict.path,
                msg(
                    "port {port} is already used by {taken_by} on each host",
                    port=conflict.port,
                    taken_by=conflict.taken_by,
                ),
                msg("set another port"),
                uses=conflict.uses,
            )
            continue
        yield Finding(
            conflict.path,
            msg(
                "port {port} is already used by {taken_by} ({taken_path})",
                port=conflict.port,
                taken_by=conflict.taken_by,
                taken_path=dotted(conflict.taken_path),
            ),
            msg("set another port for one of the two"),
            uses=(conflict.taken_path, *conflict.uses),
        )


def instances(spec: Spec, _: Context) -> Iterator[Finding]:
    """At least one instance gets requests while all is well."""
    if spec.app.instances and all(i.backup for i in spec.app.instances):
        yield Finding(
            ("app", "instances"),
            msg("every instance has `backup: true`"),
            msg("remove `backup` from at least one instance"),
        )


def investigations(spec: Spec, _: Context) -> Iterator[Finding]:
    """Incidents are the same through every instance: those of several are in one database."""
    if spec.investigate is not None and spec.mysql is None and len(spec.app.resolved_instances) > 1:
        yield Finding(
            ("investigate",),
            msg("several app instances share their incidents in a database, and this stack has none"),
            msg("add `mysql: {{}}`, or run one instance"),
            uses=(("mysql",), ("app", "instances")),
        )


def nginx(spec: Spec, _: Context) -> Iterator[Finding]:
    """nginx serves a certificate that there is."""
    name = spec.nginx.certificate
    path: Path = ("nginx", "certificate")
    if name is None:
        return
    if name not in spec.certificates:
        hint = did_you_mean(name, spec.certificates) or msg("describe it under `certificates`")
        yield Finding(path, msg("there is no certificate {name}", name=name), hint, uses=(("certificates",),))
    elif spec.certificates[name].source == "external":
        uses: tuple[Path, ...] = (("certificates", name, "source"),)
        yield Finding(
            path,
            msg("certificate {name} is served elsewhere (source: external)", name=name),
            msg("choose a certificate with another source"),
            uses,
        )


def certificates(spec: Spec, _: Context) -> Iterator[Finding]:
    """Each certificate has what its source needs."""
    for name, certificate in spec.certificates.items():
        path: Path = ("certificates", name)
        uses: tuple[Path, ...] = (path,)
        wildcard = any(n.startswith("*.") for n in certificate.names)
        if certificate.source == "files":
            for key in ("certificate_file", "private_key_file"):
                if getattr(certificate, key) is None:
                    yield Finding(
                        path,
                        msg("`source: files` needs {key}", key=key),
                        msg("add `{key}: PATH`", key=key),
                        uses,
                    )
        external = certificate.source == "external"
        if external and certificate.address is None and certificate.certificate_file is None:
            yield Finding(
                path,
                msg("`source: external` needs address or certificate_file"),
                msg("add e.g. `address: example.com:443`"),
                uses,
            )
        yield from _binding(path, certificate)
        if certificate.source != "acme":
            continue
        if not certificate.names:
            yield Finding(
                path, msg("`source: acme` needs names"), msg("add e.g. `names: [techsapo.example.com]`"), uses
            )
        if wildcard and certificate.dns_hook is None:
            hint = msg("set `dns_hook` to the program that sets the TXT records for dns-01")
            yield Finding(path, msg("a wildcard name needs the dns-01 challenge"), hint, uses)


def _binding(path: Path, certificate: Certificate) -> Iterator[Finding]:
    key_id, key = certificate.eab_key_id, certificate.eab_hmac_key
    key_path: Path = (*path, "eab_hmac_key_file" if key is not None and key.file else "eab_hmac_key")
    uses: tuple[Path, ...] = (path,)
    if key_id is not None and key is None:
        yield Finding(
            (*path, "eab_key_id"),
            msg("needs eab_hmac_key or eab_hmac_key_file"),
            msg(
                "the CA's site shows the key id and the key; prefer eab_hmac_key_file: it keeps the key out "
                "of the spec"
            ),
            uses,
        )
    elif key is not None and key_id is None:
        yield Finding(
            key_path, msg("needs eab_key_id"), msg("the CA's site shows the key id and the key"), uses
        )
    elif key is not None and certificate.staging:
        yield Finding(
            (*path, "directory"),
            msg("is Let's Encrypt's directory, and Let's Encrypt has no external account binding"),
            msg("set `directory` to your CA's own directory"),
            uses,
        )
    if key is not None and _BASE64.fullmatch(key.reveal()) is None:
        yield Finding(key_path, msg("is not base64url"), msg("copy the key as the CA's site shows it"), uses)


def redis(spec: Spec, _: Context) -> Iterator[Finding]:
    """An account of Redis has a password, and is not the one that is turned off for it."""
    path: Path = ("redis", "user")
    if spec.redis.user is not None and spec.redis.password is None:
        hint = msg("prefer password_file: it keeps the password out of the spec")
        uses: tuple[Path, ...] = (("redis", "password"), ("redis", "password_file"))
        yield Finding(path, msg("needs password or password_file"), hint, uses)
    if spec.redis.user == "default":
        yield Finding(
            path,
            msg("is the name of Redis's built-in account for clients that log in without a name"),
            msg("choose another name"),
        )
    if spec.redis.accounts and spec.redis.password is not None:
        yield Finding(
            ("redis", "accounts"),
            msg("a password is set too, and every client would use that password"),
            msg("remove `password` (or `password_file`); each account then gets its own generated password"),
            uses=(("redis", "password"), ("redis", "password_file")),
        )


def budget(spec: Spec, _: Context) -> Iterator[Finding]:
    """A day costs no more than the month, a request no more than the day."""
    monthly: Path = ("budget", "monthly_usd")
    daily = spec.budget.daily_usd
    if daily is not None and daily > spec.budget.monthly_usd:
        yield Finding(
            ("budget", "daily_usd"),
            msg(
                "{daily:g} USD a day is more than {monthly_usd:g} USD a month",
                daily=daily,
                monthly_usd=spec.budget.monthly_usd,
            ),
            msg("lower daily_usd, or raise monthly_usd"),
            uses=(monthly,),
        )
    request = spec.budget.per_request_usd
    if request is not None and request > spec.budget.resolved_daily_usd and daily != 0:
        yield Finding(
            ("budget", "per_request_usd"),
            msg(
                "{request:g} USD per request is more than the day's budget of {resolved_daily_usd:.2f} USD",
                request=request,
                resolved_daily_usd=spec.budget.resolved_daily_usd,
            ),
            msg("lower per_request_usd, or raise the day's budget"),
            uses=(monthly, ("budget", "daily_usd")),
        )


def feedback(spec: Spec, _: Context) -> Iterator[Finding]:
    """Whoever is asked about an answer can read it, and the question, through every instance."""
    if spec.schedule.feedback is not None and {spec.audit.prompt, spec.audit.answers} != {"masked"}:
        yield Finding(
            ("schedule", "feedback"),
            msg("people can't label answers whose text is not stored"),
            msg("set audit.prompt and audit.answers to masked"),
            uses=(("audit", "prompt"), ("audit", "answers")),
        )
    if spec.mysql is not None or len(spec.app.resolved_instances) == 1:
        return
    asks = spec.schedule.feedback is not None
    wants: dict[Path, bool] = {
        ("schedule", "feedback"): asks,
        ("audit", "answers"): spec.audit.answers == "masked",
        ("wallbounce", "calibration"): spec.wallbounce.calibration is not None,
    }
    for path in [path for path, wanted in wants.items() if wanted][:1]:
        yield Finding(
            path,
            msg("without a database, an app instance accepts labels only for its own answers"),
            msg("add `mysql: {{}}`, or run one instance"),
            uses=(("mysql",), ("app", "instances")),
            warning=not asks,
        )


_RULES: tuple[Rule, ...] = (
    ports, instances, redis, nginx, certificates, receiver_names, receivers, next_receivers, smtp,
    addresses, keys, scrape, scrape_interval, probes, alerts, business_hours, budget, exposed, auth,
    prometheus_backup, retiring, bodies, options, exposed_key, urls,
    sign_in, tracing, machines, redis_of_machines, investigations, feedback,
)  # fmt: skip


def rules_in(environment: str | None) -> tuple[Rule, ...]:
    """Every rule that holds in `environment`."""
    return (*(production.RULES if environment == PRODUCTION else (providers,)), *_RULES)


def inside_backups(spec: Spec, directory: FilePath, backups: FilePath) -> Finding | None:
    """That the off-site repository of a spec in `directory` is in the folder of backups, links followed.

    `backups` is that folder where the spec names none. None where the repository is elsewhere.
    """
    offsite = spec.backup.offsite
    named = offsite.restic.removeprefix(FOLDER) if offsite is not None else ":"
    if ":" in named:
        return None
    own_backups = user_path(spec.backup.path, directory) if spec.backup.path is not None else backups
    folder, repository = (
        FilePath(os.path.realpath(path)) for path in (own_backups, user_path(named, directory))
    )
    if not repository.is_relative_to(folder):
        return None
    return Finding(
        ("backup", "offsite", "restic"),
        msg(
            "is inside the backup folder {folder}: if that folder is lost, the copies are lost too",
            folder=folder,
        ),
        msg("name a repository on another machine, or a folder on another disk"),
    )
