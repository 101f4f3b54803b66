"""Secrets as files, each readable by the one service that needs it.

Every service gets its own copy: a file has one owner, and compose can't hand one secret file to two users.
"""

from __future__ import annotations

import hashlib
import json
import re

from techsapo_ops.errors import OpsError
from techsapo_ops.render.programs import (
    DOLLAR,
    MYSQL_SERVER_PASSWORD,
    MYSQLD_EXPORTER_CNF,
    REDIS_EXPORTER_PASSWORDS,
    redis_url,
)
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.topology import Topology

SECRETS = "secrets/"

_READERS = {
    "providers": "app",
    "redis.password": "app",
    "mysql.password": "app",
    "notifications": "alertmanager",
    "monitoring.grafana": "grafana",
}
_PLAIN = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_SHOWN = 80


def secret_name(path: str) -> str:
    """File name of the secret at a dotted spec path: `redis.password` → `redis-password`.

    No two paths share a name. One that holds more than letters, digits and `_` between its dots gets
    a digest after a `.`, which no plain name has: `providers.gpt.api_key` → `providers-gpt-api_key.1f…`.
    """
    if _PLAIN.fullmatch(path) and len(path) <= _SHOWN:
        return path.replace(".", "-")
    digest = hashlib.sha256(path.encode()).hexdigest()[:12]
    return f"{_UNSAFE.sub('-', path)[:_SHOWN]}.{digest}"


def reader_of(path: str) -> str | None:
    """Kind of service that reads the secret at a dotted spec path; None: the tool alone."""
    for prefix, kind in _READERS.items():
        if path == prefix or path.startswith(f"{prefix}."):
            return kind
    return None


def secret_files(spec: Spec, topology: Topology) -> tuple[RenderedFile, ...]:
    """One file below secrets/ for each secret that a service of `topology` reads, mode 0600.

    Redis and mysqld exporter read theirs in formats of their own. Raises OpsError for a database password
    that the exporter can't be given.
    """
    files = [
        _file(secret_name(path), secret.reveal(), owner)
        for path, secret in secrets_of(spec).items()
        if (owner := reader_of(path)) is not None and topology.has(owner)
    ]
    if topology.has("redis-exporter") and spec.redis.password is not None:
        # The exporter looks the password up by the address with the account in it, where it has one.
        url = redis_url(spec, topology, spec.redis.user or "")
        passwords = {url: spec.redis.password.reveal()}
        files.append(
            _file(REDIS_EXPORTER_PASSWORDS, json.dumps(passwords, ensure_ascii=False), "redis-exporter")
        )
    if topology.has("mysqld-exporter") and spec.mysql is not None and spec.mysql.password is not None:
        text = mysqld_exporter_cnf(spec.mysql.user, spec.mysql.password.reveal())
        files.append(_file(MYSQLD_EXPORTER_CNF, text, "mysqld-exporter"))
    if topology.engine == "compose" and spec.mysql is not None and spec.mysql.password is not None:
        files.append(_file(MYSQL_SERVER_PASSWORD, spec.mysql.password.reveal(), "mysql"))
    return tuple(sorted(files, key=lambda file: file.path))


def mysqld_exporter_cnf(user: str, password: str) -> str:
    """my.cnf with a login, as mysqld exporter reads it: through go-ini, after expanding `$NAME`.

    `$` is written as a variable that holds one (see `programs.DOLLAR`); between triple quotes go-ini takes
    everything else as it is, but for `%(key)s`. The exporter takes a `?` for the start of its own
    connection parameters. Raises OpsError for a password with one of those or with a line break.
    """
    if re.search(r"[\r\n\0?]|%\((user|password)\)s", password):
        raise OpsError(
            "mysql.password: mysqld exporter can't be given a password with ?, `%(user)s` or a line break",
            "choose another password, or set monitoring.exporters.mysqld.enabled: false",
        )
    literal = password.replace("$", f"${{{DOLLAR}}}")
    return f'[client]\nuser = {user}\npassword = """{literal}"""\n'


def _file(name: str, content: str, owner: str) -> RenderedFile:
    return RenderedFile(SECRETS + name, content, mode=0o600, secret=True, owner=owner)
