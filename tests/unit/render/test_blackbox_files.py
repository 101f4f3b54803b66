"""What the blackbox exporter is told to ask, and Prometheus to ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row
from stacks import THREE_INSTANCES, host, spec, templates, with_alerts

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.blackbox.kind import asked, blackbox_files
from techsapo_ops.services.prometheus.scrape import prometheus_files
from techsapo_ops.services.registry import kind_of, resolve
from techsapo_ops.spec.front_door import outside_name
from techsapo_ops.spec.models.servers import STAGING_DIRECTORY
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import EngineName, places_of
from techsapo_ops.stack.topology import Topology

HERE = Path("/srv/techsapo")
WILDCARD = {"s": {"names": ["*.example.com"]}}
INNER = {"s": {"names": ["inner"]}}


def stack(engine: EngineName = "native", **sections: Any) -> Topology:
    state = HERE / ".techsapo"
    layout = Layout(state, state / "generated")
    return resolve(spec(**sections), places_of(engine), layout, host())


def modules(topology: Topology) -> dict[str, Any]:
    (file,) = blackbox_files(topology, templates())
    found: dict[str, Any] = read_yaml(file.content)["modules"]
    return found


def job(topology: Topology) -> list[tuple[str, dict[str, str]]]:
    config = read_yaml(prometheus_files(topology, templates())[0].content)
    (found,) = [j for j in config["scrape_configs"] if j["job_name"] == "techsapo-probes"]
    assert found["metrics_path"] == "/probe"
    return [(c["targets"][0], c["labels"]) for c in found["static_configs"]]


@each_row(
    "monitoring, there",
    [
        ({}, True),
        ({"exporters": {"blackbox": None}}, False),
        ({"prometheus": {"enabled": False}}, False),
    ],
)
def test_the_front_is_probed_unless_the_spec_says_otherwise(monitoring: dict[str, Any], there: bool) -> None:
    topology = stack(monitoring={**with_alerts(), **monitoring})
    assert topology.has("blackbox-exporter") is there
    assert bool(blackbox_files(topology, templates())) is there
    text = prometheus_files(topology, templates())
    assert any("techsapo-probes" in file.content for file in text[:1]) is there


@each_row("engine, address", [("native", "127.0.0.1:8443"), ("compose", "nginx:8443")])
def test_the_front_is_asked_by_tls_under_the_name_that_users_call_it_by(
    engine: EngineName, address: str
) -> None:
    topology = stack(engine, certificates={"site": {"names": ["ops.example.com"]}})
    (front,) = asked(topology)
    assert (front.url, front.scope) == (f"https://{address}/ping", "front")
    page = modules(topology)["front"]["http"]
    assert (page["headers"], page["valid_status_codes"]) == ({"Host": "ops.example.com"}, [200])
    assert (page["fail_if_not_ssl"], page["follow_redirects"]) == (True, False)
    ((_, labels),) = job(topology)
    assert (labels["__param_module"], labels["__param_target"]) == ("front", front.url)


def test_without_nginx_each_instance_of_the_app_is_asked() -> None:
    alone = stack(app=THREE_INSTANCES, nginx={"enabled": False})
    assert [(each.name, each.url) for each in asked(alone)] == [
        ("app-1", "http://127.0.0.1:4000/ping"),
        ("app-2", "http://127.0.0.1:4001/ping"),
        ("app-3", "http://127.0.0.1:4002/ping"),
    ]
    assert modules(alone)["front"]["http"]["headers"] == {"Host": "localhost"}
    assert [target for target, _ in job(alone)] == ["127.0.0.1:9115"] * 3


@each_row(
    "certificate, trusted",
    [
        ({"source": "acme", "names": ["ops.example.com"]}, False),
        ({"source": "acme", "names": ["ops.example.com"], "directory": STAGING_DIRECTORY}, True),
        ({"source": "acme", "names": ["ops.example.com"], "directory": "https://ca.corp/acme"}, True),
        ({"source": "files", "certificate_file": "a", "private_key_file": "b"}, True),
        ({"source": "self-signed", "names": ["ops.example.com"]}, True),
    ],
)
def test_only_lets_encrypts_certificate_is_judged_by_the_systems_authorities(
    certificate: dict[str, Any], trusted: bool
) -> None:
    topology = stack(certificates={"site": certificate}, nginx={"server_name": "ops.example.com"})
    config = modules(topology)["front"]["http"]["tls_config"]
    assert config["server_name"] == "ops.example.com"
    assert ("ca_file" in config) is trusted


def test_a_certificate_for_nobody_knows_which_name_is_not_judged() -> None:
    files = {"source": "files", "certificate_file": "a", "private_key_file": "b"}
    topology = stack(certificates={"site": files})
    assert modules(topology)["front"]["http"]["tls_config"] == {"insecure_skip_verify": True}


@each_row(
    "sections, name",
    [
        ({}, None),
        ({"nginx": {"enabled": True, "server_name": "Ops.example.com"}}, "ops.example.com"),
        ({"app": {"public_url": "https://ops.example.com"}}, "ops.example.com"),
        ({"certificates": WILDCARD, "nginx": {"server_name": "a.example.com"}}, "a.example.com"),
        ({"certificates": WILDCARD}, None),
        # TLS for the public name ends at another server: here that certificate is not served.
        ({"certificates": INNER, "app": {"public_url": "https://ops.example.com"}}, "inner"),
    ],
)  # fmt: skip
def test_the_name_from_outside_is_one_that_the_served_certificate_is_for(
    sections: dict[str, Any], name: str | None
) -> None:
    assert outside_name(spec(**sections)) == name


def test_a_target_is_asked_with_what_the_spec_says_of_it_and_the_container_can_read_its_ca() -> None:
    """What such modules make of pages, connections and TLS is in tests/lab/alerts/test_blackbox_lab.py."""
    inner = {"name": "inner", "url": "https://10.0.0.5/", "server_name": "shop.corp", "ca_file": "corp.pem"}
    moved = {"name": "moved", "url": "http://old.example.com/", "status": [301]}
    topology = stack("compose", monitoring={"probes": [inner, moved]})
    found = modules(topology)
    ca = "/etc/techsapo/blackbox-ca/probe-inner.pem"
    assert found["probe-inner"]["http"]["tls_config"] == {"server_name": "shop.corp", "ca_file": ca}
    assert found["probe-inner"]["http"]["headers"] == {"Host": "shop.corp"}
    assert not found["probe-moved"]["http"]["follow_redirects"]
    container = kind_of("blackbox-exporter").container(topology, topology.of_kind("blackbox-exporter")[0])
    assert [(str(bind.source), bind.target) for bind in container.binds] == [(f"{HERE}/corp.pem", ca)]
