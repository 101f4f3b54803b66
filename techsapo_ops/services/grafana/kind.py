"""Grafana: its settings, its provisioning, and the dashboards it is given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.monitor import Monitor, basic_auth
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import executable
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.secrets import StoredSecret
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


ADMIN = "admin"
"""Login of the administrator, as Grafana's own default and the guide have it."""
ALERTMANAGER_UID = "techsapo-alertmanager"
ADMIN_PASSWORD = "monitoring.grafana.admin_password"  # noqa: S105 - the secret's path in the spec

_BARE_INI = re.compile(r"[\w./@+:-]+", re.ASCII)
_UNWRITABLE_INI = re.compile(r"[\x00-\x1f\x7f`]|\$(__\w+)?\{|%\(")
_SYSTEM_BIN = frozenset({Path("/bin"), Path("/usr/bin"), Path("/usr/sbin"), Path("/usr/local/bin")})


class Grafana(Monitor):
    """grafana-server."""

    facts = ServiceFacts(
        kind="grafana",
        title="Grafana",
        binary="grafana-server",
        image="grafana/grafana:12.2.0",
        port=3000,
        user="grafana",
        uid=472,
        data=True,
        container_data="/var/lib/grafana",
        probe=Probe("http", "/api/health"),
        needs=("prometheus",),
        metrics_path="/metrics",
        published=True,
    )
    # Not its dashboards: it looks for changed ones by itself.
    reads = ("grafana/grafana.ini", "grafana/provisioning/")
    secrets = ("monitoring.grafana",)
    data_files = ("grafana.db",)
    deadline = 90.0  # migrations of its database
    port_setting = "monitoring.grafana.port"

    def stored_secrets(self, topology: Topology) -> Iterable[StoredSecret]:
        """Its administrator's."""
        from techsapo_ops.stack.secrets import StoredSecret

        settings = topology.spec.monitoring.grafana
        yield StoredSecret(
            "grafana-admin", msg("Grafana, with all rights"), ("you",), ADMIN,
            given=settings.admin_password, setting=ADMIN_PASSWORD,
        )  # fmt: skip

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """grafana.ini, its provisioning and its dashboards."""
        return grafana_files(topology, templates)

    def program(self, topology: Topology, service: Service) -> Program:
        """grafana-server on its grafana.ini."""
        from techsapo_ops.stack.desired import Program

        binary = Path(executable(service))
        # Debian-style packages put a wrapper into a bin folder of the system and the files into
        # /usr/share/grafana; a tarball has bin/ inside its home.
        home = Path("/usr/share/grafana") if binary.parent in _SYSTEM_BIN else binary.parent.parent
        config = topology.config_dir() / "grafana" / "grafana.ini"
        return Program(
            service.name,
            (str(binary), f"--homepath={home}", f"--config={config}"),
            topology.data_dir(service),
            user=service.user,
            stop_seconds=15,
            config=(*self.reads, "secrets/monitoring-grafana-"),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same; the image takes its places from its environment."""
        from techsapo_ops.stack.container import Container, wget

        config = topology.config_dir() / "grafana"
        return Container(
            command=(),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, "/api/health"),
            environment={
                "GF_PATHS_CONFIG": str(config / "grafana.ini"),
                "GF_PATHS_PROVISIONING": str(config / "provisioning"),
                "GF_PATHS_DATA": service.facts.container_data,
            },
            config=("grafana",),
            volume=service.facts.container_data,
            memory_mb=512,
            pids=256,
            stop_seconds=15,
        )


def grafana_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """grafana/grafana.ini, grafana/provisioning/ and grafana/dashboards/, or nothing without a Grafana.

    In a container the image's GF_PATHS_* variables stand above grafana.ini: point GF_PATHS_CONFIG,
    GF_PATHS_DATA and GF_PATHS_PROVISIONING at the same places. Raises OpsError for a value that
    grafana.ini can't hold.
    """
    from techsapo_ops.catalogue.dashboards import dashboards_of
    from techsapo_ops.services.grafana.dashboards import dashboard_json

    # Every service of the kind is the same, but for its name.
    service, spec = next(iter(topology.of_kind("grafana")), None), topology.spec
    if service is None:
        return ()
    config = topology.config_dir() / "grafana"
    provisioning = "grafana/provisioning"
    return (
        *(
            RenderedFile(f"grafana/dashboards/{name}.json", dashboard_json(spec, dashboard))
            for name, dashboard in dashboards_of(topology.machines).items()
            if dashboard.needs is None or topology.has(dashboard.needs)
        ),
        RenderedFile("grafana/grafana.ini", _ini_file(topology, templates, service)),
        RenderedFile(
            f"{provisioning}/dashboards/techsapo.yml",
            templates.render(
                "grafana/dashboards.yml.j2", folder=spec.project, path=_unexpanded(f"{config}/dashboards")
            ),
        ),
        RenderedFile(
            f"{provisioning}/datasources/techsapo.yml",
            templates.render("grafana/datasources.yml.j2", datasources=_datasources(topology)),
        ),
    )


def ini(text: str) -> str:
    """`text` as a value of grafana.ini, which go-ini reads and whose values Grafana expands.

    Raises OpsError for what has no escape there: control characters, backquotes, `${`, `$__file{`, `%(`.
    """
    if _UNWRITABLE_INI.search(text):
        raise OpsError(
            msg("grafana.ini can't hold {text}", text=repr(text)),
            msg("avoid control characters, backquotes, ${{ and %( in monitoring.grafana and in folder names"),
        )
    return text if _BARE_INI.fullmatch(text) else f"`{text}`"


def _unexpanded(text: str) -> str:
    """`text` for provisioning YAML, in which Grafana expands `$NAME`."""
    return text.replace("$", "$$")


def _ini_file(topology: Topology, templates: Templates, service: Service) -> str:
    from techsapo_ops.stack.secrets import secret_name

    spec, listens = topology.spec, topology.listens(service)
    password_file = str(topology.secret_path(secret_name(ADMIN_PASSWORD)))
    ini(password_file)
    if "}" in password_file:
        raise OpsError(
            msg("grafana.ini can't name the file {password_file}", password_file=repr(password_file)),
            msg("use a folder without }}"),
        )
    reference = f"$__file{{{password_file}}}"
    bare = _BARE_INI.fullmatch(password_file)
    return templates.render(
        "grafana/grafana.ini.j2",
        http_addr="" if topology.places.isolated else listens.host,
        http_port=listens.port,
        data=str(topology.data_dir(service)),
        config=str(topology.config_dir() / "grafana"),
        admin_user=ADMIN,
        admin_password_file=reference if bare else f"`{reference}`",
        language="ja-JP" if spec.locale == "ja" else "en-US",
        ini=ini,
    )


def _datasources(topology: Topology) -> list[dict[str, Any]]:
    """Prometheus and Alertmanager.

    On several machines each is asked by the name of all of its kind, which leads to one that runs; and each
    Prometheus once more by its own name, for whoever compares them.
    """
    from techsapo_ops.services.grafana.dashboards import PROMETHEUS_UID

    settings = {
        "httpMethod": "POST",
        "prometheusType": "Prometheus",
        "timeInterval": topology.spec.monitoring.prometheus.scrape_interval,
    }
    datasources: list[dict[str, Any]] = []
    for title, uid, kind in (
        ("Prometheus", PROMETHEUS_UID, "prometheus"),
        ("Alertmanager", ALERTMANAGER_UID, "alertmanager"),
    ):
        services = topology.of_kind(kind)
        if not services:
            continue
        url = topology.places.any_of(services[0]).url()
        datasources.append(_datasource(topology, title, uid, kind, url, settings))
    servers = topology.of_kind("prometheus")
    for service in servers if len(servers) > 1 else ():
        url = topology.address(service, Viewpoint.SERVICE).url()
        uid = f"techsapo-{service.name}"
        datasources.append(
            _datasource(topology, service.name, uid, service.kind, url, settings) | {"isDefault": False}
        )
    return datasources


def _datasource(
    topology: Topology, name: str, uid: str, kind: str, url: str, settings: dict[str, str]
) -> dict[str, Any]:
    source: dict[str, Any] = {"name": name, "uid": uid, "type": kind, "access": "proxy", "url": url}
    if kind == "prometheus":
        source["isDefault"] = True
    return {
        **source,
        "editable": False,
        **_login(topology, kind),
        "jsonData": settings
        if kind == "prometheus"
        else {"implementation": "prometheus", "handleGrafanaManagedAlerts": False},
    }


def _login(topology: Topology, kind: str) -> dict[str, Any]:
    """How Grafana logs in at a server of `kind`. It reads the password from the file when it starts.

    Raises OpsError where its own marks stand in the file's name.
    """
    login = basic_auth(topology, kind, "grafana")
    if login is None:
        return {}
    file = login["password_file"]
    if "$$" in file or "}" in file:
        raise OpsError(
            msg("Grafana can't use the file {file}", file=repr(file)),
            msg("use a folder without }} and $$"),
        )
    return {
        "basicAuth": True,
        "basicAuthUser": login["username"],
        "secureJsonData": {"basicAuthPassword": f"$__file{{{file}}}"},
    }
