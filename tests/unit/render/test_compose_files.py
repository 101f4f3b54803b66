from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from rows import each_row
from stacks import EVERYTHING, HOSTILE_FOLDER, host, rendered, spec, templates, topology

from techsapo_ops.adapters.build import LOCK, OTEL_LOCK
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.render.compose import MONITORING_YML, PRODUCTION_YML, compose_files, literal
from techsapo_ops.render.stack import secret_files

BOTH = (MONITORING_YML, PRODUCTION_YML)


HERE = Path("/opt/stack")
WANTED = spec(**EVERYTHING)


def compose(name: str = PRODUCTION_YML, directory: Path = HERE, **sections: Any) -> dict[str, Any]:
    """A compose file alone: what its containers read takes longest to render."""
    where = topology(spec(**(sections or EVERYTHING)), directory, "compose")
    files = compose_files(where, templates(), secret_files(where), exact=False)
    found: dict[str, Any] = read_yaml(next(f.content for f in files if f.path == name))
    return found


def every_service() -> dict[str, Any]:
    return {k: v for name in BOTH for k, v in compose(name)["services"].items()}


def test_what_watches_and_what_is_watched_are_two_files_of_one_project() -> None:
    monitoring, production = (compose(name) for name in BOTH)
    assert set(monitoring["services"]) == {
        "prometheus", "alertmanager", "grafana", "node-exporter", "blackbox-exporter",
    }  # fmt: skip
    assert set(production["services"]) == {
        "redis", "mysql", "app-1", "app-2", "app-3", "nginx",
        "redis-exporter", "mysqld-exporter", "nginx-exporter",
    }  # fmt: skip
    assert monitoring["name"] == production["name"] == "techsapo"


def test_every_healthcheck_has_the_guides_times_and_starts_by_the_second() -> None:
    checks = [s["healthcheck"] for s in every_service().values() if "healthcheck" in s]
    assert len(checks) == 12
    for check in checks:
        assert check["test"][0] == "CMD"
        assert "curl" not in check["test"]
        assert {k: v for k, v in check.items() if k != "test"} == {
            "interval": "30s", "timeout": "10s", "retries": 3, "start_period": "40s", "start_interval": "1s",
        }  # fmt: skip


def test_with_tls_redis_alone_is_given_its_key_and_all_that_ask_it_the_ca() -> None:
    services = compose(redis={"tls": True}, mysql={})["services"]
    keys = "../../../keys/redis-tls"
    mounts = {
        name: {
            m["target"]: (m["source"], m["read_only"]) for m in s.get("volumes", []) if m["type"] == "bind"
        }
        for name, s in services.items()
    }
    with_key = {name for name, found in mounts.items() if "/etc/techsapo/redis-tls" in found}
    with_ca = {name for name, found in mounts.items() if "/etc/techsapo/redis-ca" in found}
    assert (with_key, with_ca) == ({"redis"}, {"redis", "app", "redis-exporter"})
    assert mounts["redis"]["/etc/techsapo/redis-tls"] == (f"{keys}/server", True)
    assert mounts["app"]["/etc/techsapo/redis-ca"] == (f"{keys}/trust", True)
    ca = "/etc/techsapo/redis-ca/ca.pem"
    assert services["redis"]["healthcheck"]["test"][-4:] == ["--tls", "--cacert", ca, "ping"]
    command = services["app"]["command"]
    assert command[command.index("--redis-ca") + 1] == ca
    exporter = services["redis-exporter"]["command"]
    assert {"-redis.addr=rediss://redis:6379", f"-tls-ca-cert-file={ca}"} <= set(exporter)


def test_every_container_is_confined() -> None:
    for name, service in every_service().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["user"].partition(":")[0]) > 0, name
        assert service["restart"] == "unless-stopped", name
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"memory", "pids"}, name


def test_who_sees_the_hosts_files_is_no_user_that_a_secret_is_given_to() -> None:
    every = every_service()
    seeing = {n for n, s in every.items() if any(v["source"] == "/" for v in s.get("volumes", []))}
    assert seeing == {"node-exporter"}
    user, group = every["node-exporter"]["user"].split(":")
    assert {user, group}.isdisjoint({"0", *(s["user"] for n, s in every.items() if n not in seeing)})


def test_prometheus_has_its_admin_api_only_where_its_samples_are_backed_up() -> None:
    def command(**sections: Any) -> list[str]:
        found: list[str] = compose(MONITORING_YML, **sections)["services"]["prometheus"]["command"]
        return found

    assert "--web.enable-admin-api" not in command(project="techsapo")
    assert "--web.enable-admin-api" in command(backup={"prometheus": True})


def test_only_what_people_use_is_published_and_on_loopback() -> None:
    ports = {name: s["ports"] for name, s in every_service().items() if "ports" in s}
    assert set(ports) == {"app-1", "app-2", "app-3", "nginx", "prometheus", "alertmanager", "grafana"}
    assert {port["host_ip"] for each in ports.values() for port in each} == {"127.0.0.1"}


def test_databases_and_exporters_are_on_private_networks_only() -> None:
    networks = compose()["networks"]
    private = {name for name, settings in networks.items() if settings["internal"]}
    for name, service in every_service().items():
        if name == "node-exporter":
            assert "networks" not in service
        elif name == "blackbox-exporter":
            assert set(service["networks"]) == {"edge", "metrics"}, "it asks nginx as users do"
        elif name in {"redis", "mysql"} or name.endswith("exporter"):
            assert set(service["networks"]) <= private, name


@each_row("shared", [True, False])
def test_node_exporter_sees_what_is_mounted_later_where_the_hosts_mounts_are_shared(shared: bool) -> None:
    facts = replace(host(), shares_mounts=shared)
    where = topology(spec(), HERE, "compose", facts)
    files = {f.path: f for f in compose_files(where, templates(), secret_files(where), exact=False)}
    node = read_yaml(files[MONITORING_YML].content)["services"]["node-exporter"]
    (root,) = [v for v in node["volumes"] if v["source"] == "/"]
    assert root.get("bind") == ({"propagation": "rslave"} if shared else None)
    assert root["read_only"]


MADE = {"keys/app-key": "app", "keys/acknowledge-key.app": "app", "keys/acknowledge.tmpl": "alertmanager"}
"""By the engine, before it starts the first container."""


def test_each_service_has_its_own_copies_of_its_secrets() -> None:
    files = rendered(WANTED, topology(WANTED, HERE, "compose"))

    def owner_of(path: str) -> str | None:
        reader = re.fullmatch(r"keys/\w+-password\.(\w+)|keys/(\w+)-web\.yml", path)
        return (
            files[path].owner
            if path in files
            else MADE.get(path) or (reader and reader[reader.lastindex or 0])
        )

    for name in BOTH:
        data = read_yaml(files[name].content)
        folder = Path("/") / Path(name).parent
        for service_name, service in data["services"].items():
            kind = service_name.split("-")[0] if service_name.startswith("app-") else service_name
            for secret in service.get("secrets", []):
                path = str((folder / data["secrets"][secret["source"]]["file"]).resolve()).lstrip("/")
                assert owner_of(path) == kind, path


def test_an_image_of_ones_own_replaces_the_official_one_and_the_build() -> None:
    redis = f"registry.example.com:5000/team/redis_x:8.0-a@sha256:{'0a' * 32}"
    services = compose(images={"redis": redis, "app": "lab/app:2"})["services"]
    assert services["redis"]["image"] == redis
    assert services["app"]["image"] == "lab/app:2"
    assert "build" not in services["app"]


def test_the_project_folder_is_not_in_the_files() -> None:
    assert compose(directory=HERE / HOSTILE_FOLDER) == compose()


def test_dollars_are_doubled_in_keys_too() -> None:
    assert literal({"$a": ["$b", {"c": "$$"}], "n": 1}) == {"$$a": ["$$b", {"c": "$$$$"}], "n": 1}


def test_a_stop_is_given_the_time_that_the_service_needs() -> None:
    services = compose(app={"drain": "2s", "limits": {"request_timeout": "30s"}}, mysql={})["services"]
    assert services["app"]["stop_grace_period"] == "37s"
    assert services["mysql"]["stop_grace_period"] == "30s"


@each_row("tracing", [False, True])
def test_the_image_holds_all_that_tells_which_code_runs_and_installs_one_of_the_locks(tracing: bool) -> None:
    """A lock that is missing there would make every instance run "another build" for ever."""
    app = {"tracing": {"endpoint": "http://collector:4318"}} if tracing else {}
    where = topology(spec(app=app), HERE, "compose")
    files = {f.path: f.content for f in compose_files(where, templates(), secret_files(where), exact=False)}
    text = files["docker/app/Dockerfile"]
    for lock in (LOCK, OTEL_LOCK):
        assert f"COPY --from=source {lock} /opt/techsapo/{lock}\n" in text
    assert f"-r /opt/techsapo/{OTEL_LOCK if tracing else LOCK}\n" in text
