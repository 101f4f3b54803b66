"""The ways to the servers of a stack, and what of it is backed up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.adapters.promtool import Promtool
from techsapo_ops.backup import config
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.offsite import Restic, login
from techsapo_ops.backup.origin import Keyring
from techsapo_ops.backup.repository import Repository
from techsapo_ops.backup.verify import Checker
from techsapo_ops.engines.native.mariadb import ROOT_PASSWORD
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.written import read_manifest
from techsapo_ops.render.template_folders import Overrides, find_overrides
from techsapo_ops.services import sqlite
from techsapo_ops.services.mysql import backup as mysql
from techsapo_ops.services.prometheus import backup as prometheus
from techsapo_ops.services.redis import backup as redis
from techsapo_ops.services.redis.client import login_options
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door, Source
from techsapo_ops.stack.engine import Engine, Scratch
from techsapo_ops.stack.layout import OLD_OVERRIDES, OVERRIDES
from techsapo_ops.stack.topology import Topology

KINDS = ("redis", "mysql", "sqlite", "prometheus", "grafana", "config")
"""Kinds of sources, in the order in which they are told of."""
_LONG = 3600.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack whose data is backed up; `directory` is where the spec's relative paths begin."""

    spec: Spec
    topology: Topology
    engine: Engine
    runner: Runner
    directory: Path
    check_spec: Callable[[str], Spec | None] = lambda _: None
    """The spec of a text. Raises OpsError for one that could not be used in place of this one."""
    config_paths: tuple[str, ...] | None = None
    """In place of `backup.config.paths`; for a recovery on an empty host, out of an authenticated backup."""

    @property
    def repository(self) -> Repository:
        """Where its backups are."""
        named = self.spec.backup.path
        layout = self.topology.layout
        path = self.directory / Path(named).expanduser() if named is not None else layout.state / "backups"
        return Repository(path, Keyring(layout.backup_keys), layout.backup_checks)

    @property
    def overrides(self) -> Overrides:
        """The folders of the operator's own templates."""
        return find_overrides(self.directory, self.spec.template_overrides)


def restic(stack: Stack) -> Restic | None:
    """The off-site repository, where the spec has one. Raises OpsError where it can't be used."""
    offsite = stack.spec.backup.offsite
    if offsite is None:
        return None
    binary = stack.topology.host.binaries.get("restic")
    if binary is None:
        raise OpsError("backup.offsite needs restic, which is not on PATH", "apt-get install restic")
    if offsite.password is None:
        raise OpsError(
            "backup.offsite has no password: restic encrypts everything",
            "set backup.offsite.password_file, and keep a copy of it off this host",
        )
    place = (
        offsite.restic if ":" in offsite.restic else str(stack.directory / Path(offsite.restic).expanduser())
    )
    cache = stack.topology.layout.state / "restic-cache"
    return Restic(stack.runner, binary, place, offsite.password, cache, offsite.options, login(offsite))


def redis_door(stack: Stack) -> Door:
    """The way to the stack's Redis."""
    password = stack.spec.redis.password
    env = {"REDISCLI_AUTH": password.reveal()} if password is not None else {}
    options: tuple[str, ...] = ()
    if stack.topology.engine == "native":
        address = stack.topology.address(stack.topology.of_kind("redis")[0], Viewpoint.HOST)
        options = ("-h", address.host, "-p", str(address.port))
    options = (*options, *login_options(stack.topology))
    return Door(stack.runner, lambda command: stack.engine.enter("redis", command), options, env)


def mysql_door(stack: Stack) -> Door:
    """The way to the stack's MariaDB, as its administrator."""
    options: tuple[str, ...]
    if stack.topology.engine == "compose":
        options = ("--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root")
        return Door(stack.runner, lambda command: stack.engine.enter("mysql", command, root=True), options)
    address = stack.topology.address(stack.topology.of_kind("mysql")[0], Viewpoint.HOST)
    secret = read_text(stack.topology.layout.keys / ROOT_PASSWORD, what="the database's root password")
    options = (
        "--no-defaults", "--protocol=tcp", f"--host={address.host}", f"--port={address.port}", "--user=root",
    )  # fmt: skip
    return Door(
        stack.runner,
        lambda command: stack.engine.enter("mysql", command),
        options,
        {"MYSQL_PWD": secret.strip()},
    )


def scratch_door(kind: str, scratch: Scratch, runner: Runner) -> Door:
    """The way to a throwaway server."""
    assert scratch.enter is not None  # noqa: S101 - both engines give one
    password = scratch.password.reveal() if scratch.password is not None else ""
    host, port = scratch.address.host, str(scratch.address.port)
    if kind == "redis":
        return Door(runner, scratch.enter, ("-h", host, "-p", port), {"REDISCLI_AUTH": password})
    options = (
        "--no-defaults",
        "--protocol=tcp",
        f"--host={host}",
        f"--port={port}",
        f"--user={scratch.user}",
    )
    return Door(runner, scratch.enter, options, {"MYSQL_PWD": password})


def sources(stack: Stack, only: Sequence[str] = ()) -> tuple[tuple[Source, ...], dict[str, str]]:
    """The sources of a backup, and those kinds that this stack has not, with the reason.

    Raises OpsError for a kind that there is not at all, or one that is asked for and can't be had.
    """
    unknown = [kind for kind in only if kind not in KINDS]
    if unknown:
        raise OpsError(f"there is no source {unknown[0]}", f"there are: {', '.join(KINDS)}", exit_code=2)
    found: list[Source] = []
    left_out: dict[str, str] = {}
    for kind in KINDS:
        if only and kind not in only:
            left_out[kind] = "not asked for"
            continue
        made = _BUILDERS[kind](stack)
        if not isinstance(made, str):
            found += made
        elif kind in only:
            raise OpsError(f"{kind} can't be backed up: {made}", "leave it out of --only")
        else:
            left_out[kind] = made
    return tuple(found), left_out


def _redis(stack: Stack) -> Sequence[Source] | str:
    if not stack.topology.has("redis"):
        return "this stack has no Redis"
    return [redis.RedisSource(redis_door(stack))]


def audit_database(stack: Stack, service: str) -> sqlite.Database:
    """The audit log of one instance of the app, or of one that was scaled away and has left it."""
    other = "" if stack.topology.find(service) is not None else _app(stack)
    door = Door(stack.runner, lambda command: stack.engine.beside(service, command, image_of=other))
    return sqlite.Database(door, sqlite.AUDIT, _python(stack))


def _python(stack: Stack) -> str:
    return sys.executable if stack.topology.engine == "native" else "python"


def _app(stack: Stack) -> str:
    return stack.topology.of_kind("app")[0].name


def _sqlite(stack: Stack) -> Sequence[Source] | str:
    if stack.topology.has("mysql"):
        return "the audit log is in MariaDB"
    found = []
    # The rows of instances that were scaled away are as precious as the others'.
    for name in (*(service.name for service in stack.topology.of_kind("app")), *stack.engine.left("app")):
        if (
            stack.topology.engine == "native"
            and not (stack.topology.layout.data / name / sqlite.AUDIT).exists()
        ):
            continue  # nor may its folder be there
        database = audit_database(stack, name)
        if database.look() is not None:
            label = "audit" if name == "app" else f"audit-{name}"
            found.append(sqlite.SqliteSource(f"{sqlite.KIND}:{name}", label, database))
    return found or "there is no audit log yet"


def grafana_database(stack: Stack) -> sqlite.Database:
    """Grafana's own database, looked at with the Python of the app: Grafana's image has none."""
    door = Door(stack.runner, lambda command: stack.engine.beside("grafana", command, image_of=_app(stack)))
    return sqlite.Database(door, sqlite.GRAFANA, _python(stack))


def grafana_source(stack: Stack) -> sqlite.SqliteSource | str:
    """Grafana's database, or why there is none to copy."""
    if not stack.topology.has("grafana"):
        return "this stack has no Grafana"
    if stack.topology.engine == "native":
        service = stack.topology.of_kind("grafana")[0]
        there = (stack.topology.data_dir(service) / sqlite.GRAFANA).exists()
    else:
        seen = stack.engine.observe().services
        if not all(name in seen and seen[name].container for name in ("grafana", _app(stack))):
            return "Grafana's container is not there"
        there = grafana_database(stack).look() is not None
    if not there:
        return "Grafana has no database yet"
    return sqlite.SqliteSource("grafana", "grafana", grafana_database(stack))


def _grafana(stack: Stack) -> str:
    """It holds password hashes and tokens: only an encrypted repository takes it; see operations.offsite."""
    source = grafana_source(stack)
    if isinstance(source, str):
        return source
    if stack.spec.backup.offsite is None:
        return "it holds password hashes, so it goes off-site alone, encrypted: set backup.offsite"
    return "it holds password hashes, so it goes off-site alone, encrypted"


def prometheus_api(stack: Stack) -> Prometheus:
    """The API of the stack's Prometheus; what is asked of it may take long."""
    service = stack.topology.of_kind("prometheus")[0]
    address = stack.topology.address(service, Viewpoint.HOST)
    return Prometheus(address.url(), timeout=_LONG)


def prometheus_source(stack: Stack) -> prometheus.PrometheusSource:
    """The samples of the stack's Prometheus."""
    door = Door(stack.runner, lambda command: stack.engine.beside("prometheus", command))
    note = stack.topology.layout.state / "prometheus-snapshot.json"
    return prometheus.PrometheusSource(door, prometheus_api(stack), note)


def sweep_snapshot(stack: Stack) -> None:
    """Remove the snapshot that a killed backup of Prometheus has left, also where it is no source now.

    Without its container there is no way to its volume: a later backup does it.
    """
    if not stack.topology.has("prometheus"):
        return
    source = prometheus_source(stack)
    if not source.note.exists():
        return
    seen = stack.engine.observe().services.get("prometheus")
    if stack.topology.engine == "native" or (seen is not None and seen.container):
        source.sweep()


def scratch_prometheus(scratch: Scratch) -> prometheus.Asked:
    """A throwaway Prometheus, to be asked: one in a container without a network by its own promtool."""
    url = scratch.address.url()
    if not scratch.container:
        return Prometheus(url, timeout=_LONG)
    assert scratch.run is not None  # noqa: S101 - both engines give one
    return Promtool(url, scratch.run)


def _prometheus(stack: Stack) -> Sequence[Source] | str:
    if not stack.topology.has("prometheus"):
        return "this stack has no Prometheus"
    if not stack.spec.backup.prometheus:
        return "backup.prometheus is off"
    return [prometheus_source(stack)]


def _mysql(stack: Stack) -> Sequence[Source] | str:
    if stack.spec.mysql is None or not stack.topology.has("mysql"):
        return "this stack has no MariaDB"
    return [mysql.MysqlSource(mysql_door(stack), stack.spec.mysql.database)]


def _config(stack: Stack) -> Sequence[Source] | str:
    return [config_source(stack)]


def config_source(stack: Stack) -> config.ConfigSource:
    """The configuration of the stack."""
    layout = stack.topology.layout
    spec_file = layout.spec_file
    overrides = stack.overrides
    own = {
        spec_file.name: spec_file,
        **({OVERRIDES: overrides.folder} if overrides.obstacle is None else {}),
        **({OLD_OVERRIDES: overrides.old} if overrides.old is not None else {}),
        "generated": layout.config,
        "certs": layout.certs,
        "api-keys": layout.api_keys.parent,
    }
    trees = {name: path for name, path in own.items() if path.exists()}
    trees |= config_trees(stack)
    secret = secret_paths(stack)
    return config.ConfigSource(
        trees,
        secret_values(stack),
        frozenset({*secret, *(path.resolve() for path in secret)}),
        frozenset({spec_file, spec_file.resolve()}),
    )


def config_trees(stack: Stack) -> dict[str, Path]:
    """What `backup.config.paths` names, by the name that it has in the archive."""
    named = stack.spec.backup.config.paths if stack.config_paths is None else stack.config_paths
    paths = [stack.directory / Path(each).expanduser() for each in named]
    return {f"paths/{path.resolve().as_posix().strip('/')}".rstrip("/"): path for path in paths}


def secret_values(stack: Stack) -> tuple[bytes, ...]:
    """Every secret of the spec, and every one that the tool made itself."""
    values = [secret.reveal().encode() for secret in secrets_of(stack.spec).values()]
    keys = stack.topology.layout.keys
    if keys.is_dir():
        values += [p.read_bytes().strip() for p in keys.iterdir() if p.name.endswith("-password")]
    return tuple(dict.fromkeys(value for value in values if value))


def secret_paths(stack: Stack) -> list[Path]:
    """Files and folders that hold nothing but secrets, or are known to hold one."""
    layout = stack.topology.layout
    found = [stack.directory / ".env", layout.keys, layout.secrets, layout.config / "docker" / "secrets"]
    found += [layout.acme]  # the keys of the accounts at CAs
    found += [layout.backup_keys]
    found += [
        stack.directory / Path(secret.file).expanduser()
        for secret in secrets_of(stack.spec).values()
        if secret.file is not None
    ]
    found += [
        layout.config / path for path, written in read_manifest(layout.config).files.items() if written.secret
    ]
    if layout.certs.is_dir():
        found += layout.certs.rglob("privkey.pem")
    return [path for path in dict.fromkeys(found) if path.exists()]


def checkers(stack: Stack) -> dict[str, Checker]:
    """How the content of each kind of part is looked at."""

    def rdb(part: Part, reader: PackedReader) -> list[str]:
        return redis.check(part, reader, _anywhere(stack))

    def dump(part: Part, reader: PackedReader) -> list[str]:
        return mysql.check(part, reader)

    return {
        "redis": rdb,
        "mysql": dump,
        "sqlite": sqlite.check,
        "prometheus": prometheus.check,
        "grafana": sqlite.check,
        "config": config.check,
    }


def _anywhere(stack: Stack) -> Door:
    """Where Redis's tools are: on this host, else in its container."""
    if stack.topology.engine == "native" or "redis-check-rdb" in stack.topology.host.binaries:
        return Door(stack.runner)
    return replace(redis_door(stack), options=())


_BUILDERS: dict[str, Callable[[Stack], Sequence[Source] | str]] = {
    "redis": _redis,
    "mysql": _mysql,
    "sqlite": _sqlite,
    "prometheus": _prometheus,
    "grafana": _grafana,
    "config": _config,
}
