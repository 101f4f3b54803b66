"""rsyslog's configuration as text; a real rsyslogd reads it in tests/lab/engines/test_syslog_lab.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import HOSTILE_FOLDER, load_yaml, rendered, spec, topology, with_alerts

from techsapo_ops.render.rsyslog import quoted, watched

HERE = Path("/opt/stack")

SYSLOG = {"target": "logs.example.com:6514", "protocol": "udp", "queue": "10M"}


def of(directory: Path, **sections: Any) -> dict[str, str]:
    wanted = spec(**sections, monitoring=with_alerts())
    found = rendered(wanted, topology(wanted, directory))
    return {path: file.content for path, file in found.items()}


def test_without_a_server_nothing_is_rendered_and_containers_stay_as_they_are() -> None:
    files = of(HERE)
    assert not [path for path in files if "rsyslog" in path]
    compose = [text for path, text in files.items() if Path(path).name.startswith("docker-compose.")]
    assert compose
    assert not [text for text in compose if '"tag"' in text or "tag:" in text]


def test_both_engines_have_a_file_that_names_the_server() -> None:
    files = of(HERE, logs={"syslog": SYSLOG})
    native, compose = files["rsyslog/techsapo.conf"], files["docker/rsyslog/techsapo.conf"]
    for text in (native, compose):
        assert 'target="logs.example.com" port="6514" protocol="udp"' in text
        assert f'queue.maxDiskSpace="{10 * 1024**2}"' in text
    assert f'file="{HERE}/.techsapo/logs/app.log" tag="techsapo/app"' in native
    assert f"ln -s {HERE}/.techsapo/generated/docker/rsyslog/techsapo.conf " in compose


def test_each_container_is_named_in_its_log_by_project_and_service() -> None:
    files = of(HERE, project="demo", logs={"syslog": SYSLOG})
    services = {
        name: entry
        for path, text in files.items()
        if Path(path).name.startswith("docker-compose.")
        for name, entry in load_yaml(text)["services"].items()
    }
    assert {"app", "redis"} <= set(services)
    for name, entry in services.items():
        assert entry["logging"]["driver"] == "json-file", "techsapo logs reads it as before"
        assert entry["logging"]["options"]["tag"] == f"demo/{name}"


def test_the_app_is_not_started_anew_for_it() -> None:
    before, after = of(HERE), of(HERE, logs={"syslog": SYSLOG})
    assert before["app/techsapo.yaml"] == after["app/techsapo.yaml"]
    assert before["supervisor/supervisord.conf"] == after["supervisor/supervisord.conf"]


@each_row("target", ["[2001:db8::1]:514", "2001:db8::1:514"])
def test_an_ipv6_address_stands_in_brackets_in_the_spec_alone(target: str) -> None:
    if not target.startswith("["):
        with pytest.raises(ValueError, match="pattern"):
            spec(logs={"syslog": {"target": target}})
        return
    files = of(HERE, logs={"syslog": {"target": target}})
    assert 'target="2001:db8::1" port="514"' in files["rsyslog/techsapo.conf"]


def test_what_has_a_meaning_to_rsyslog_in_a_folder_stands_for_any_character() -> None:
    assert watched('/srv/a b/[x]*"y"$z\\/app.log') == "/srv/a b/?x???y??z?/app.log"
    assert watched(f"/srv/{HOSTILE_FOLDER}/app.log").count('"') == 0
    assert quoted('a"b$c\\d') == '"a\\"b\\$c\\\\d"'


@each_row("folder, told", [("/home/me/x", True), ("/root", True), ("/srv/home", False)])
def test_a_folder_that_debians_unit_hides_from_rsyslog_is_told_of(folder: str, told: bool) -> None:
    files = of(Path(folder), logs={"syslog": SYSLOG})
    for path in ("rsyslog/techsapo.conf", "docker/rsyslog/techsapo.conf"):
        assert ("ProtectHome=read-only" in files[path]) is told
