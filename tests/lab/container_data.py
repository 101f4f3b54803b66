"""A stack in containers with data and a certificate from a real CA, and ways into its data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from acme_ca import challenge_dns, pebble
from backup_lab import signed
from docker_lab import DockerLab, container_ids, docker, docker_project
from edges import NAME, Edge
from fakes.open_stacks import with_backup
from projects import Project, small_spec
from servers import free_port

from techsapo_ops.adapters.packed import PackedWriter
from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.stack.stack import Stack

PROJECT = f"lab-data-{os.getpid()}"
REDIS_PASSWORD = 'redis\'s $$ "鍵"'
MYSQL_PASSWORD = "mysql's \\ pass"


_GRAFANA = r"""FROM {base}
USER 0
RUN install -d -o 472 -g 472 /var/lib/grafana && printf '%s\n' \
  'pid /tmp/pid; error_log /dev/stderr; daemon off; events {{}} http {{ access_log off;' \
  'client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4;' \
  'scgi_temp_path /tmp/5; server {{ listen 3000; default_type text/plain; return 200; }} }}' \
  > /etc/nginx/grafana.conf
USER 472
CMD ["nginx", "-c", "/etc/nginx/grafana.conf"]
"""
"""An image that answers Grafana's probe and holds no Python, as Grafana's own, which can't be had here."""


def grafana_stand_in(lab: DockerLab) -> str:
    """The name of an image in Grafana's place."""
    base = lab.images["nginx"]
    made = base.replace("/nginx:", "/grafana:")
    docker("build", "--quiet", "--tag", made, "-", input=_GRAFANA.format(base=base))
    return made


def grafana_logins(made: Project, statement: str = "") -> list[str]:
    """Users in Grafana's database after `statement`, by an SQLite in a container beside its volume."""
    script = (
        "import json, sqlite3, sys\n"
        "with sqlite3.connect('grafana.db') as sql:\n"
        "    sql.executescript(sys.argv[1])\n"
        "    print(json.dumps([row[0] for row in sql.execute('SELECT login FROM user ORDER BY id')]))\n"
    )
    folder = "/var/lib/grafana"
    # An image without that folder would give the volume, as long as it is empty, to root.
    volume = ("--volume", f"{made.spec['project']}_grafana:{folder}:nocopy", "--workdir", folder)
    argv = ("run", "--rm", "--user", "472", *volume, made.spec["images"]["base"], "python", "-c", script)
    found: list[str] = json.loads(docker(*argv, statement).stdout)
    return found


@contextmanager
def edge_in_containers(lab: DockerLab, folder: Path) -> Iterator[Edge]:
    """The stack, up with its stand-in certificate, and pebble beside it, whose files are in `folder`."""
    port = free_port()
    spec = small_spec(
        project=PROJECT,
        mysql={"port": free_port(), "password": MYSQL_PASSWORD},
        redis={"port": free_port(), "password": REDIS_PASSWORD, "appendonly": True},
        backup={"path": "保管 庫/日 々", "prometheus": True},
        providers={"sim-a": {"kind": "simulated"}, "sim-b": {"kind": "simulated"}},
        nginx={"listen": free_port(), "tls_listen": free_port(), "server_name": NAME},
        certificates={
            "techsapo": {
                "source": "acme",
                "names": [NAME],
                "contact": "ops@example.com",
                "directory": f"https://127.0.0.1:{port}/dir",
                "ca_file": str(folder / "pebble/.ca/ca.pem"),
            }
        },
        schedule={"by": "none"},
    )
    spec["monitoring"]["exporters"]["node"] = free_port()
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"
    spec["monitoring"]["alertmanager"]["enabled"] = False
    with (
        challenge_dns(folder / "dns") as dns,
        pebble(folder / "pebble", dns, spec["nginx"]["listen"], port=port) as ca,
        docker_project(lab, spec, "資料 stack") as made,
    ):
        made.run("up", "--yes", timeout=200)
        yield Edge(made, dns, ca)


def sql(statement: str) -> str:
    """What MariaDB answers its root, on one line."""
    argv = ("mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "-uroot", "-N", "techsapo_audit")
    return docker(
        "exec", "--user", "0", container_ids(PROJECT)["mysql"], *argv, "-e", statement
    ).stdout.strip()


def redis(*words: str) -> str:
    environment = {**os.environ, "REDISCLI_AUTH": REDIS_PASSWORD}
    container = container_ids(PROJECT)["redis"]
    return docker(
        "exec", "-e", "REDISCLI_AUTH", container, "redis-cli", *words, env=environment
    ).stdout.strip()


def forged(stack: Stack, backup: Backup, place: Path, kind: str, content: bytes) -> Stack:
    """The stack with a copy of the backup, one part of it with another content and digests that fit."""
    folder = place / backup.id
    folder.mkdir(parents=True)
    manifest = backup.read()
    for part in manifest.parts:
        (folder / part.file).write_bytes((backup.folder / part.file).read_bytes())
    part = next(p for p in manifest.parts if p.kind == kind)
    (folder / part.file).unlink()
    with PackedWriter(folder / part.file) as file:
        file.write(content)
    fitting = replace(part, sha256=file.sha256, bytes=file.bytes, raw_bytes=file.raw_bytes)
    parts = tuple(fitting if p.kind == kind else p for p in manifest.parts)
    signed(stack, folder, replace(manifest, parts=parts))
    section = stack.spec.backup.model_copy(update={"path": str(place)})
    return with_backup(stack, section)


def scratch_containers(lab: Project) -> str:
    """Names of the throwaway containers of this stack."""
    mine = f"label=techsapo.scratch={lab.state / 'scratch'}"
    return docker("ps", "--all", "--filter", mine, "--format", "{{.Names}}").stdout
