from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from stacks import EVERYTHING, HOSTILE_FOLDER, rendered, spec, templates, topology, with_alerts

from techsapo_ops import __version__
from techsapo_ops.adapters.build import code
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.render.stack import render_stack
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import EngineName

HERE = Path("/opt/stack")


def test_the_same_spec_gives_the_same_bytes_in_the_same_order() -> None:
    one, other = spec(**EVERYTHING), spec(**EVERYTHING)
    first = render_stack(topology(one, HERE), templates())
    second = render_stack(topology(other, HERE), templates())
    assert first == second
    assert [f.path for f in first] == sorted({f.path for f in first})


def test_every_output_of_the_guide_is_there() -> None:
    paths = set(rendered(spec(**EVERYTHING), topology(spec(**EVERYTHING), HERE)))
    assert paths >= {
        "prometheus/prometheus.yml",
        "alertmanager/alertmanager.yml",
        "nginx/nginx.conf",
        "redis/redis.conf",
        "mysql/my.cnf",
        "supervisor/supervisord.conf",
        "app/techsapo.yaml",
        "ecosystem.config.js",
        "systemd/techsapo.service",
        "logrotate/techsapo",
        "docker/docker-compose.monitoring.yml",
        "docker/production/docker-compose.prod.yml",
        "docker/app/Dockerfile",
        "docker/config/prometheus/prometheus.yml",
        "docker/config/nginx/nginx.conf",
    }
    assert all(not path.startswith("/") and ".." not in path for path in paths)


def app_tags(files: dict[str, RenderedFile]) -> set[str]:
    return set(re.findall(r"techsapo/app:[\w.]+", files["docker/production/docker-compose.prod.yml"].content))


def test_both_engines_outputs_are_rendered_whichever_runs_and_only_the_apps_image_differs() -> None:
    wanted = spec(**EVERYTHING)
    native = rendered(wanted, topology(wanted, HERE))
    other = rendered(wanted, topology(wanted, HERE, "compose"))
    (tag,), (plain,) = app_tags(other), app_tags(native)
    label = 'LABEL techsapo.build="{}"'
    assert label.format(code()) in other["docker/app/Dockerfile"].content
    assert {p: f.content for p, f in native.items()} == {
        p: f.content.replace(tag, plain).replace(label.format(code()), label.format(__version__))
        for p, f in other.items()
    }


def test_an_edit_of_the_package_is_another_image_for_containers_and_nothing_for_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = spec(monitoring=with_alerts())
    engines: tuple[EngineName, ...] = ("native", "compose")
    before = {engine: app_tags(rendered(wanted, topology(wanted, HERE, engine))) for engine in engines}
    monkeypatch.setattr("techsapo_ops.render.compose.content", lambda: SimpleNamespace(digest="another"))
    assert before["native"] == {f"techsapo/app:{__version__}"}
    after = {
        engine: app_tags({f.path: f for f in render_stack(topology(wanted, HERE, engine), templates())})
        for engine in engines
    }
    assert after["native"] == before["native"]
    assert after["compose"] != before["compose"]


def test_a_host_without_any_server_still_renders_the_app_and_the_containers() -> None:
    files = rendered(spec(), topology(spec(), HERE, facts=HostFacts("/usr/bin/python3")))
    assert "app/techsapo.yaml" in files
    assert "prometheus/prometheus.yml" not in files
    assert "docker/config/prometheus/prometheus.yml" in files


def test_container_files_name_container_paths_only() -> None:
    wanted = spec(**EVERYTHING)
    files = rendered(wanted, topology(wanted, HERE / HOSTILE_FOLDER))
    for path, file in files.items():
        if path.startswith("docker/config/"):
            assert str(HERE) not in file.content, path
