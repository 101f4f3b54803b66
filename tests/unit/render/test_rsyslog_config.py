"""rsyslog's configuration as text; a real rsyslogd reads it in tests/lab/engines/test_syslog_lab.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row
from stacks import HOSTILE_FOLDER, rendered, spec, topology, with_alerts

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.render.host import quoted, watched

HERE = Path("/opt/stack")

SYSLOG = "udp://logs.example.com:6514"


def of(directory: Path, **sections: Any) -> dict[str, str]:
    wanted = spec(**sections, monitoring=with_alerts())
    found = rendered(wanted, topology(wanted, directory))
    return {path: file.content for path, file in found.items()}


def test_both_engines_have_a_file_that_names_the_server() -> None:
    files = of(HERE, logs={"syslog": SYSLOG})
    native, compose = files["rsyslog/techsapo.conf"], files["docker/rsyslog/techsapo.conf"]
    for text in (native, compose):
        assert 'target="logs.example.com" port="6514" protocol="udp"' in text
        assert f'queue.maxDiskSpace="{256 * 1024**2}"' in text
    assert f'file="{HERE}/.techsapo/logs/app.log" tag="techsapo/app"' in native
    assert f"ln -s {HERE}/.techsapo/generated/docker/rsyslog/techsapo.conf " in compose


def test_each_container_is_named_in_its_log_by_project_and_service() -> None:
    files = of(HERE, project="demo", logs={"syslog": SYSLOG})
    services = {
        name: entry
        for path, text in files.items()
        if Path(path).name.startswith("docker-compose.")
        for name, entry in read_yaml(text)["services"].items()
    }
    assert {"app", "redis"} <= set(services)
    for name, entry in services.items():
        assert entry["logging"]["driver"] == "json-file", "techsapo logs reads it as before"
        assert entry["logging"]["options"]["tag"] == f"demo/{name}"


def test_what_has_a_meaning_to_rsyslog_in_a_folder_stands_for_any_character() -> None:
    assert watched('/srv/a b/[x]*"y"$z\\/app.log') == "/srv/a b/?x???y??z?/app.log"
    assert watched(f"/srv/{HOSTILE_FOLDER}/app.log").count('"') == 0
    assert quoted('a"b$c\\d') == '"a\\"b\\$c\\\\d"'


@each_row("folder, told", [("/home/me/x", True), ("/root", True), ("/srv/home", False)])
def test_a_folder_that_debians_unit_hides_from_rsyslog_is_told_of(folder: str, told: bool) -> None:
    files = of(Path(folder), logs={"syslog": SYSLOG})
    for path in ("rsyslog/techsapo.conf", "docker/rsyslog/techsapo.conf"):
        assert ("ProtectHome=read-only" in files[path]) is told
