"""The servers of the recorded machine: Debian's programs and the shop's services, on their usual ports."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pymysql
import redis as redis_client
import yaml

from tests.incidents.record import certificates
from tests.incidents.record.world import APPS, PYTHON, Unit, World, run, wait_until

ETC = Path(__file__).parent / "etc"
SETTINGS: Mapping[str, Mapping[str, Any]] = yaml.safe_load((ETC / "services.yaml").read_text())
PORTS = {name: int(values["port"]) for name, values in SETTINGS.items()}
CALLED = ("auth", "stock", "payments", "reviews")
"""What the shop calls, where it runs."""
PROVIDER: Mapping[str, Any] = {"keys": ["key-of-the-shop-1"], "rate": 20, "seconds": 0.06}
FOLDERS = ("images", "sessions", "mails", "invoices")
OUTSIDE = {"psp", "dns1", "dns2", "customers", "newsletter", "crawler"}
"""Programs that are not of the recorded machine: nothing of them is recorded."""
TEMPLATE = Path("/tmp/record-mariadb-template")  # noqa: S108


def unit_of(world: World, name: str, *argv: str, user: str = "www-data", **more: Any) -> Unit:
    return world.start(Unit(name, argv, user, **more))


def lay_out(world: World) -> None:
    """The shared parts of the services: packages, secrets, the certificate authority."""
    for package in (pymysql, redis_client):
        folder = Path(str(package.__file__)).parent
        shutil.copytree(
            folder, Path("/opt/python") / folder.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    passwords = {"database.password": "first-password", "stock.password": "first-password"}
    for name, text in {
        "token.secret": secrets.token_hex(16),
        "psp.key": "key-of-the-shop-1",
        **passwords,
    }.items():
        Path("/etc/shop", name).write_text(text)
    write_json("/etc/psp/names.json", {"api.psp.example": "127.0.0.40"})
    write_json("/etc/psp/psp.json", PROVIDER)
    certificates.make_authority()
    certificates.issue("/etc/psp/psp", "api.psp.example")
    certificates.issue("/etc/shop/front", "shop.example", "www.shop.example")
    shutil.chown("/var/log/shop", "www-data")
    shutil.copy(APPS / "outside.py", "/opt/outside.py")
    for name in FOLDERS:
        world.folder(f"/var/lib/shop/{name}")


def write_json(path: str, value: object) -> None:
    fresh = Path(f"{path}.new")
    fresh.write_text(json.dumps(value))
    fresh.rename(path)


def service(
    world: World, name: str, version: str = "v41", settings: Mapping[str, Any] | None = None, **more: Any
) -> None:
    """Start one of the shop's own services, from a release in /opt."""
    values = {**SETTINGS[name.rstrip("0123456789")], **(settings or {})}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    rows = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables]
    for key, table in tables.items():
        rows += [f"[{key}]", *(f"{inner} = {json.dumps(text)}" for inner, text in table.items())]
    Path(f"/etc/shop/{name}.toml").write_text("\n".join(rows) + "\n")
    world.install(name, version)
    unit_of(world, name, PYTHON, f"/opt/{name}/current/shop.py", name, **more)


def outside(world: World, name: str, *argv: str) -> None:
    """Start one of the programs of apps/outside.py."""
    unit_of(world, name, PYTHON, "/opt/outside.py", *argv, user="root")


def mariadb(world: World, *options: str, name: str = "mysqld", address: str = "127.0.0.11") -> None:
    """Start a MariaDB with the shop's tables, from a folder that is made once per machine."""
    data = "mysql" if name == "mysqld" else name
    for folder in (f"/var/lib/{data}", "/run/mysqld", "/var/log/mysql"):
        world.folder(folder, "mysql")
    run("cp", "-a", f"{TEMPLATE}/.", f"/var/lib/{data}")
    text = (ETC / "mariadb.cnf").read_text()
    file = Path(f"/etc/mysql/{name}.cnf")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text.replace("NAME", name).replace("DATA", data).replace("ADDRESS", address))
    unit = "mariadb" if name == "mysqld" else name
    unit_of(world, unit, "mariadbd", f"--defaults-file={file}", *options, user="root")


def make_template() -> None:
    """Make the folder that each recording's MariaDB begins with."""
    if TEMPLATE.exists():
        return
    partial = TEMPLATE.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    shutil.chown(partial, "mysql", "mysql")
    common = ("--no-defaults", f"--datadir={partial}", "--user=mysql", "--innodb-log-file-size=8M")
    run("mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db")
    with (ETC / "shop.sql").open() as file:
        subprocess.run(["mariadbd", *common, "--bootstrap"], stdin=file, check=True)
    partial.rename(TEMPLATE)


def sql(statement: str, socket: str = "/run/mysqld/mysqld.sock") -> Any:
    """Run one statement as an administrator."""
    connection = pymysql.connect(unix_socket=socket, user="root", database="shop", autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def redis(world: World, *lines: str) -> None:
    """Start Redis; `lines` are added to its configuration."""
    world.folder("/var/lib/redis", "redis")
    config = Path("/etc/redis.conf")
    config.write_text((ETC / "redis.conf").read_text() + "\n".join(lines) + "\n")
    Path("/var/log/redis.log").touch()
    for path in (config, "/var/log/redis.log"):
        shutil.chown(path, "redis")
    unit_of(world, "redis", "redis-server", str(config), user="redis")


def nginx(world: World, worker_connections: int) -> None:
    """Start nginx in front of the shop."""
    shutil.rmtree("/etc/nginx/conf.d", ignore_errors=True)
    Path("/etc/nginx/conf.d").mkdir()
    text = (ETC / "nginx.conf").read_text().replace("WORKER_CONNECTIONS", str(worker_connections))
    Path("/etc/nginx/nginx.conf").write_text(text)
    for name in ("shop.conf", "status.conf"):
        shutil.copy(ETC / name, f"/etc/nginx/conf.d/{name}")
    unit_of(world, "nginx", "nginx", user="root")


def ready(world: World) -> None:
    """Wait until each store answers."""
    wait_until(lambda: _quietly(lambda: redis_client.Redis("127.0.0.12").ping()), "redis")
    for name in ("mysqld", "replica") if "replica" in world.units else ("mysqld",):
        wait_until(lambda name=name: _quietly(lambda: sql("SELECT 1", f"/run/mysqld/{name}.sock")), name)  # type: ignore[misc]


def _quietly(ask: Callable[[], object]) -> bool:
    try:
        return bool(ask())
    except (OSError, pymysql.Error, redis_client.RedisError):
        return False
