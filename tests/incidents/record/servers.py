"""The servers of the recorded machine: Debian's programs and the shop's services, on their usual ports."""

from __future__ import annotations

import datetime as dates
import json
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pymysql
import redis as redis_client
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.incidents.record.world import APPS, HOST, PYTHON, Unit, World, processes_of, run, wait_until

RULES = yaml.safe_load((Path(__file__).parent / "rules.yaml").read_text())
PORTS = {
    "shop": 8080,
    "auth": 8081,
    "stock": 8082,
    "payments": 8083,
    "reviews": 8084,
    "mailer": 8085,
    "invoicer": 8086,
}
_URL = "http://127.0.0.1:{}"
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "shop": {"workers": 16, "pool": 6, "timeout": 3.0, "database": "db.internal", "redis": "redis.internal"},
    "auth": {"workers": 8},
    "stock": {"workers": 8, "pool": 4, "database": "db.internal"},
    "payments": {"workers": 12, "timeout": 2.5, "psp": "https://api.psp.example"},
    "reviews": {"workers": 8},
    "mailer": {"redis": "redis.internal"},
    "invoicer": {"bytes": 60_000, "retained": 60, "pause": 1.0},
}
FOLDERS = {"shop": "images", "auth": "sessions", "mailer": "mails", "invoicer": "invoices"}
TEMPLATE = Path("/tmp/record-mariadb-template")  # noqa: S108
_MARIADB = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=48M",
    "--performance-schema=off",
    "--skip-log-bin",
    "--user=mysql",
    "--innodb-flush-log-at-trx-commit=2",
    "--max-connections=40",
    "--slow-query-log",
    "--long-query-time=0.5",
    "--slow-query-log-file=/var/log/mysql/slow.log",
    "--log-error=/var/log/mysql/error.log",
    "--socket=/run/mysqld/mysqld.sock",
    "--pid-file=/run/mysqld/mysqld.pid",
    "--loose-innodb-lock-wait-timeout=3",
]
_TABLES = """
CREATE DATABASE shop;
USE shop;
CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(60), maker INT, price DECIMAL(8,2), INDEX by_maker (maker));
INSERT INTO products SELECT seq, CONCAT('Product ', seq), 1 + seq MOD 500, 1 + seq MOD 90 FROM seq_1_to_12000;
CREATE TABLE sales (id INT PRIMARY KEY, product INT, INDEX by_product (product));
INSERT INTO sales SELECT seq, 1 + seq MOD 12000 FROM seq_1_to_60000;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, buyer VARCHAR(40), session VARCHAR(40), made TIMESTAMP DEFAULT NOW());
CREATE TABLE stock (id INT PRIMARY KEY, amount INT);
INSERT INTO stock SELECT seq, 1000000 FROM seq_1_to_40;
CREATE USER shop@'%' IDENTIFIED BY 'first-password';
GRANT ALL ON shop.* TO shop@'%';
CREATE USER watcher@'%' IDENTIFIED BY 'watching';
GRANT PROCESS, REPLICATION CLIENT, REPLICATION SLAVE, SLAVE MONITOR, SELECT ON *.* TO watcher@'%';
"""
_EXPORTED: Mapping[str, str] = {
    "node": "node_(cpu_seconds_total|load1|memory_(MemTotal|MemAvailable)_bytes|filesystem_(avail|size)_bytes"
    "|filesystem_files(_free)?|filesystem_readonly|disk_io_time_seconds_total|netstat_Tcp_(RetransSegs|CurrEstab|PassiveOpens)"
    "|filefd_allocated|vmstat_oom_kill|job_.*)",
    "mariadb": "mysql_(up|global_status_(threads_connected|threads_running|aborted_connects|aborted_clients|slow_queries"
    "|innodb_row_lock_current_waits|innodb_row_lock_waits|innodb_row_lock_time|queries|innodb_data_pending_fsyncs"
    "|handlers_total|connection_errors_total)|global_variables_(max_connections|read_only)"
    "|slave_status_(seconds_behind_master|slave_sql_running|slave_io_running))",
    "redis": "redis_(up|memory_used_bytes|memory_max_bytes|connected_clients|blocked_clients|rejected_connections_total"
    "|evicted_keys_total|expired_keys_total|keyspace_(hits|misses)_total|commands_processed_total|rdb_last_bgsave_status"
    "|rdb_changes_since_last_save|slowlog_last_id|master_link_up|db_keys|connected_slaves|instance_info|errors_total)",
    "nginx": "nginx_(up|connections_(active|waiting|writing|accepted|handled)|http_requests_total)",
    "probe": "probe_(success|duration_seconds|http_status_code|ssl_earliest_cert_expiry|dns_lookup_time_seconds)",
}  # fmt: skip
"""What Prometheus keeps of each exporter's page: what a team that pays for its series would keep."""


def unit_of(world: World, name: str, *argv: str, user: str = "www-data", **more: Any) -> Unit:
    return world.start(Unit(name, argv, user, **more))


def lay_out(world: World) -> None:
    """The shared parts of the services: packages, secrets, the certificate authority."""
    packages = Path("/opt/python")
    packages.mkdir()
    for package in (pymysql, redis_client):
        folder = Path(str(package.__file__)).parent
        shutil.copytree(folder, packages / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (
        ("token.secret", secrets.token_hex(16)),
        ("database.password", "first-password"),
        ("stock.password", "first-password"),
        ("psp.key", "key-of-the-shop-1"),
    ):
        Path(f"/etc/shop/{name}").write_text(text)
    write_json("/etc/psp/names.json", {"api.psp.example": "127.0.0.40"})
    write_json("/etc/psp/psp.json", {"keys": ["key-of-the-shop-1"], "rate": 20, "seconds": 0.06})
    make_authority()
    certificate("/etc/psp/psp", "api.psp.example")
    certificate("/etc/shop/front", "shop.example", "www.shop.example")
    shutil.chown("/var/log/shop", "www-data")
    shutil.copy(APPS / "outside.py", "/opt/outside.py")
    for folder in FOLDERS.values():
        if not Path(f"/var/lib/shop/{folder}").exists():
            world.folder(f"/var/lib/shop/{folder}")


def write_json(path: str, value: object) -> None:
    fresh = Path(f"{path}.new")
    fresh.write_text(json.dumps(value))
    fresh.rename(path)


# Certificates


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_authority() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dates.datetime.now(dates.UTC)
    made = x509.CertificateBuilder(
        _name("Recorded CA"), _name("Recorded CA"), key.public_key(), 1, now, now + dates.timedelta(days=90)
    )
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    extended = made.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed = extended.add_extension(identity, False).sign(key, hashes.SHA256())
    Path("/etc/shop/ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    Path("/etc/psp/ca.key").write_bytes(_key_bytes(key))


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def certificate(path: str, *names: str, ends_in: float = 60 * 86400) -> None:
    """Issue PATH.pem and PATH.key for names, which end after so many seconds."""
    authority = x509.load_pem_x509_certificate(Path("/etc/shop/ca.pem").read_bytes())
    issuer = serialization.load_pem_private_key(Path("/etc/psp/ca.key").read_bytes(), None)
    assert isinstance(issuer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = dates.datetime.now(dates.UTC)
    ends = now + dates.timedelta(seconds=ends_in)
    made = x509.CertificateBuilder(
        authority.subject,
        _name(names[0]),
        key.public_key(),
        x509.random_serial_number(),
        now - dates.timedelta(days=30),
        ends,
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
    Path(f"{path}.pem").write_bytes(
        made.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    Path(f"{path}.key").write_bytes(_key_bytes(key))


# The shop


def service(
    world: World, name: str, version: str = "v41", settings: Mapping[str, Any] | None = None, **more: Any
) -> None:
    """Start one of the shop's own services, from a release in /opt."""
    role = name.rstrip("0123456789")
    values = {"port": PORTS[role], **SETTINGS[role], **(settings or {})}
    rows = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            rows += [f"[{key}]", *(f"{inner} = {json.dumps(text)}" for inner, text in value.items())]
    Path(f"/etc/shop/{name}.toml").write_text("\n".join(rows) + "\n")
    world.install(name, version)
    unit_of(world, name, PYTHON, f"/opt/{name}/current/shop.py", name, **more)


def outside(world: World, name: str, *argv: str) -> None:
    unit_of(world, name, PYTHON, "/opt/outside.py", *argv, user="root")


def customers(
    world: World, rate: float, scheme: str = "http", kind: str = "customers", name: str = ""
) -> None:
    outside(world, name or kind, kind, str(rate), scheme, "shop.example")


# Debian's servers


def mariadb(
    world: World,
    name: str = "mariadb",
    port: int = 3306,
    address: str = "127.0.0.11",
    extra: tuple[str, ...] = (),
) -> None:
    """A MariaDB with the shop's tables, from a folder that is made once per machine."""
    if not Path("/var/lib/mysql").is_mount() or name != "mariadb":
        world.folder(f"/var/lib/{'mysql' if name == 'mariadb' else name}", "mysql")
    for folder in ("/run/mysqld", "/var/log/mysql"):
        world.folder(folder, "mysql")
    data = "/var/lib/mysql" if name == "mariadb" else f"/var/lib/{name}"
    run("cp", "-a", f"{TEMPLATE}/.", data)
    options = [
        text
        if name == "mariadb"
        else text.replace("mysqld.", f"{name}.").replace("/log/mysql/", f"/log/mysql/{name}-")
        for text in _MARIADB
    ]
    unit_of(
        world,
        name,
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        f"--port={port}",
        f"--bind-address={address}",
        *options,
        *extra,
        user="root",
    )


def make_template() -> None:
    """Make the folder that each recording's MariaDB begins with."""
    if TEMPLATE.exists():
        return
    partial = TEMPLATE.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    shutil.chown(partial, "mysql", "mysql")
    size = "--innodb-log-file-size=8M"
    run(
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={partial}",
        "--user=mysql",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        size,
    )
    first = Path(f"{partial}.sql")
    first.write_text("FLUSH PRIVILEGES;\n" + _TABLES)
    with first.open() as file:
        subprocess.run(
            ["mariadbd", "--no-defaults", f"--datadir={partial}", "--bootstrap", "--user=mysql", size],
            stdin=file,
            check=True,
        )
    first.unlink()
    partial.rename(TEMPLATE)


def sql(statement: str, user: str = "root", address: str = "/run/mysqld/mysqld.sock") -> Any:
    """Run one statement as an administrator."""
    with (
        pymysql.connect(unix_socket=address, user=user, database="shop", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchall()


def redis(world: World, *options: str, name: str = "redis", address: str = "127.0.0.12") -> None:
    world.folder(f"/var/lib/{name}", "redis")
    Path(f"/var/log/{name}.log").touch()
    shutil.chown(f"/var/log/{name}.log", "redis")
    config = Path(f"/etc/{name}.conf")
    config.write_text(
        f"bind {address}\nport 6379\ndir /var/lib/{name}\nlogfile /var/log/{name}.log\nmaxmemory 48mb\nmaxmemory-policy noeviction\n"
        "protected-mode no\nslowlog-log-slower-than 100000\n" + ("\n".join(options) or 'save ""') + "\n"
    )
    shutil.chown(config, "redis")
    unit_of(world, name, "redis-server", str(config), user="redis")


def store(address: str = "127.0.0.12") -> redis_client.Redis:
    return redis_client.Redis(address, 6379, socket_timeout=60)


def nginx(world: World, worker_connections: int = 512, tls: bool = True) -> None:
    Path("/etc/nginx/conf.d").mkdir(exist_ok=True)
    for file in Path("/etc/nginx/conf.d").iterdir():
        file.unlink()
    Path("/etc/nginx/nginx.conf").write_text(
        f"user www-data;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log warn;\ndaemon off;\n"
        f"events {{ worker_connections {worker_connections}; }}\nhttp {{\n  access_log /var/log/nginx/access.log;\n"
        "  client_body_buffer_size 8k;\n  client_header_timeout 120s;\n  include /etc/nginx/conf.d/*.conf;\n}\n"
    )
    secure = "  listen 127.0.0.30:443 ssl;\n  ssl_certificate /etc/shop/front.pem;\n  ssl_certificate_key /etc/shop/front.key;\n"
    Path("/etc/nginx/conf.d/shop.conf").write_text(
        "upstream shop {\n  server 127.0.0.1:8080 max_fails=0;\n}\nserver {\n  listen 127.0.0.30:80;\n"
        + (secure if tls else "")
        + "  server_name shop.example www.shop.example;\n  location / {\n    proxy_pass http://shop;\n"
        "    proxy_read_timeout 10s;\n    proxy_set_header Host $host;\n  }\n}\n"
    )
    Path("/etc/nginx/conf.d/status.conf").write_text(
        "server {\n  listen 127.0.0.1:8099;\n  location / { stub_status; access_log off; }\n}\n"
    )
    unit_of(world, "nginx", "nginx", user="root")


# Watching


class UnitPage(BaseHTTPRequestHandler):
    """The exporter of the service manager: what each unit uses, as systemd's exporter shows it."""

    world: World

    def do_GET(self) -> None:
        rows = []
        for unit in list(self.world.units.values()):
            if unit.name in OUTSIDE:
                continue
            found = processes_of(unit)
            label = f'{{unit="{unit.name}"}}'
            rows.append(f"unit_up{label} {int(bool(found))}")
            rows.append(f"unit_restarts_total{label} {unit.count}")
            if unit.name in PORTS or not found:
                continue
            try:
                rows.append(
                    f"unit_cpu_seconds_total{label} {sum(sum(one.cpu_times()[:2]) for one in found):.2f}"
                )
                rows.append(f"unit_resident_bytes{label} {sum(one.memory_info().rss for one in found)}")
            except psutil.Error:  # it ended meanwhile
                continue
        for group in self.world.cpu_groups:
            label = f'{{group="{group.name.rpartition("-")[2]}"}}'
            stat = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
            rows.append(f"unit_throttled_seconds_total{label} {int(stat['throttled_time']) / 1e9}")
        body = ("\n".join(rows) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


OUTSIDE = {"psp", "dns1", "dns2", "customers", "newsletter", "crawler", "readers", "reconcile"}
EXPORTERS = {
    "node-exporter": 9100,
    "mysqld-exporter": 9104,
    "redis-exporter": 9121,
    "nginx-exporter": 9113,
    "blackbox-exporter": 9115,
}


def watching(world: World, probes: Mapping[str, str], textfiles: bool = True) -> None:
    """Start the exporters of what runs, and Prometheus."""
    jobs: list[dict[str, Any]] = [job(name, PORTS[name]) for name in world.units if name in PORTS]
    Path("/var/lib/node").mkdir(exist_ok=True)
    unit_of(
        world, "node-exporter", "prometheus-node-exporter", "--web.listen-address=127.0.0.1:9100", "--log.level=warn",
        "--collector.disable-defaults", *(f"--collector.{name}" for name in ("cpu", "loadavg", "meminfo", "filesystem", "diskstats", "netstat", "filefd", "vmstat", "textfile")),
        "--collector.textfile.directory=/var/lib/node", "--collector.filesystem.mount-points-include=^/(var/(lib/shop.*|lib/mysql|log/.*|backups))?$",
        "--collector.diskstats.device-exclude=^(ram|loop|fd|sr).*$",
    )  # fmt: skip
    jobs.append(job("node", 9100))
    if "mariadb" in world.units:
        Path("/etc/shop/watcher.cnf").write_text(
            "[client]\nuser=watcher\npassword=watching\nhost=127.0.0.11\n"
        )
        off = ("info_schema.innodb_cmp", "info_schema.innodb_cmpmem", "info_schema.query_response_time")
        replica = ["--collect.slave_status"] if "replica" in world.units else ["--no-collect.slave_status"]
        unit_of(
            world, "mysqld-exporter", "prometheus-mysqld-exporter", "--web.listen-address=127.0.0.1:9104", "--log.level=warn",
            "--config.my-cnf=/etc/shop/watcher.cnf", *(f"--no-collect.{name}" for name in off), *replica,
        )  # fmt: skip
        jobs.append(job("mariadb", 9104))
        if "replica" in world.units:
            jobs.append(
                {
                    **job("replica", 9104, "mariadb"),
                    "metrics_path": "/probe",
                    "params": {"target": ["127.0.0.13:3306"], "collect[]": ["slave_status", "global_status"]},
                }
            )
    if "redis" in world.units:
        unit_of(
            world,
            "redis-exporter",
            "prometheus-redis-exporter",
            "-web.listen-address=127.0.0.1:9121",
            "-redis.addr=redis://127.0.0.12:6379",
        )
        jobs.append(job("redis", 9121))
    if "nginx" in world.units:
        unit_of(
            world,
            "nginx-exporter",
            "prometheus-nginx-exporter",
            "--web.listen-address=127.0.0.1:9113",
            "--nginx.scrape-uri=http://127.0.0.1:8099/",
            "--log.level=warn",
        )
        jobs.append(job("nginx", 9113))
    if probes:
        Path("/etc/shop/blackbox.yml").write_text(json.dumps({"modules": {"http": {"prober": "http", "timeout": "3s", "http": {
            "fail_if_body_not_matches_regexp": ["Welcome"], "preferred_ip_protocol": "ip4"}}, "tls": {"prober": "tcp", "timeout": "3s", "tcp": {
            "tls": True, "preferred_ip_protocol": "ip4"}}, "reach": {"prober": "http", "timeout": "4s", "http": {"preferred_ip_protocol": "ip4"}}}}))  # fmt: skip
        unit_of(
            world,
            "blackbox-exporter",
            "prometheus-blackbox-exporter",
            "--config.file=/etc/shop/blackbox.yml",
            "--web.listen-address=127.0.0.1:9115",
            "--log.prober=error",
        )
        for target, module in probes.items():
            jobs.append({
                **job("probe", 9115), "job_name": f"probe {target}", "metrics_path": "/probe", "params": {"module": [module], "target": [target]},
                "scrape_interval": "6s", "scrape_timeout": "5s",
            })  # fmt: skip
            jobs[-1]["static_configs"][0]["labels"] |= {"job": "probe", "target": target}
    UnitPage.world = world
    server = ThreadingHTTPServer(("127.0.0.1", 9256), UnitPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    jobs.append(job("units", 9256))
    Path("/etc/prometheus").mkdir(exist_ok=True)
    Path("/etc/prometheus/prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": ["/etc/prometheus/rules.yml"], "scrape_configs": jobs,
    }))  # fmt: skip
    groups = [{"name": "shop", "rules": [rule_of(rule) for rule in RULES]}]
    Path("/etc/prometheus/rules.yml").write_text(json.dumps({"groups": groups}))
    world.folder("/var/lib/prometheus")
    unit_of(
        world, "prometheus", "prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/var/lib/prometheus",
        "--web.listen-address=127.0.0.1:9090", "--log.level=warn",
    )  # fmt: skip


def job(name: str, port: int, exported: str = "") -> dict[str, Any]:
    keep = _EXPORTED.get(exported or name)
    return {
        "job_name": name,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": HOST}}],
        **(
            {"metric_relabel_configs": [{"source_labels": ["__name__"], "regex": keep, "action": "keep"}]}
            if keep
            else {}
        ),
    }


def rule_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "alert": rule["alert"], "expr": rule["expr"], "for": rule.get("for", "6s"),
        "labels": {"severity": rule.get("severity", "critical"), "service": rule.get("service", "{{ $labels.job }}")},
        "annotations": {"summary": rule["summary"]},
    }  # fmt: skip


def ready(world: World) -> None:
    """Wait until each server answers."""
    waits: dict[str, Callable[[], bool]] = {}
    if "mariadb" in world.units:
        waits["mariadb"] = lambda: bool(sql("SELECT 1"))
    if "replica" in world.units:
        waits["replica"] = lambda: bool(sql("SELECT 1", address="/run/mysqld/replica.sock"))
    if "redis" in world.units:
        waits["redis"] = lambda: bool(store().ping())
    for what, condition in waits.items():
        wait_until(lambda condition=condition: _quietly(condition), what)  # type: ignore[misc]


def _quietly(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except (OSError, pymysql.Error, redis_client.RedisError):
        return False
