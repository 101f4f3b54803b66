from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from stacks import EVERYTHING, HOSTILE_FOLDER, rendered, spec, topology

from techsapo_ops import __version__
from techsapo_ops.adapters.build import code
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import EngineName


def test_the_same_spec_gives_the_same_bytes_in_the_same_order(tmp_path: Path) -> None:
    one, other = spec(**EVERYTHING), spec(**EVERYTHING)
    first = render_stack(topology(one, tmp_path), Templates())
    second = render_stack(topology(other, tmp_path), Templates())
    assert first == second
    assert [f.path for f in first] == sorted({f.path for f in first})


def test_every_output_of_the_guide_is_there(tmp_path: Path) -> None:
    paths = set(rendered(spec(**EVERYTHING), topology(spec(**EVERYTHING), tmp_path)))
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


def test_both_engines_outputs_are_rendered_whichever_runs_and_only_the_apps_image_differs(
    tmp_path: Path,
) -> None:
    wanted = spec(**EVERYTHING)
    native = rendered(wanted, topology(wanted, tmp_path))
    other = rendered(wanted, topology(wanted, tmp_path, "compose"))
    (tag,), (plain,) = app_tags(other), app_tags(native)
    label = 'LABEL techsapo.build="{}"'
    assert label.format(code()) in other["docker/app/Dockerfile"].content
    assert {p: f.content for p, f in native.items()} == {
        p: f.content.replace(tag, plain).replace(label.format(code()), label.format(__version__))
        for p, f in other.items()
    }


def test_an_edit_of_the_package_is_another_image_for_containers_and_nothing_for_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec()
    engines: tuple[EngineName, ...] = ("native", "compose")
    before = {engine: app_tags(rendered(wanted, topology(wanted, tmp_path, engine))) for engine in engines}
    monkeypatch.setattr("techsapo_ops.render.package.content", lambda: SimpleNamespace(digest="another"))
    assert before["native"] == {f"techsapo/app:{__version__}"}
    assert app_tags(rendered(wanted, topology(wanted, tmp_path, "native"))) == before["native"]
    assert app_tags(rendered(wanted, topology(wanted, tmp_path, "compose"))) != before["compose"]


def test_a_host_without_any_server_still_renders_the_app_and_the_containers(tmp_path: Path) -> None:
    files = rendered(spec(), topology(spec(), tmp_path, facts=HostFacts("/usr/bin/python3")))
    assert "app/techsapo.yaml" in files
    assert "prometheus/prometheus.yml" not in files
    assert "docker/config/prometheus/prometheus.yml" in files


def test_container_files_name_container_paths_only(tmp_path: Path) -> None:
    wanted = spec(**EVERYTHING)
    files = rendered(wanted, topology(wanted, tmp_path / HOSTILE_FOLDER))
    for path, file in files.items():
        if path.startswith("docker/config/"):
            assert str(tmp_path) not in file.content, path
