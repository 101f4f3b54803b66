"""Files for the host: its unit of systemd, logrotate, rsyslog and PM2.

Real ones read them in tests/lab/engines.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from in_process import techsapo
from rows import each_row
from stacks import HOSTILE_FOLDER, host, rendered, spec, templates, topology, with_alerts

from techsapo_ops.errors import OpsError
from techsapo_ops.render.host import (
    instance_script,
    log_files,
    logrotate_files,
    quoted,
    systemd_files,
    systemd_quote,
    watched,
)
from techsapo_ops.stack.desired import Program


def unquoted(line: str) -> list[str]:
    """The words of an Exec line, by the rules of systemd.service(5)."""
    words, word, inside, escaped = [], "", False, False
    for character in line.replace("%%", "%").replace("$$", "$"):
        if escaped:
            word, escaped = word + character, False
        elif character == "\\":
            escaped = True
        elif character == '"':
            inside = not inside
        elif character == " " and not inside:
            words.append(word)
            word = ""
        else:
            word += character
    return [*words, word]


def unit(directory: Path, *, root: bool = True, environment: str | None = None) -> dict[str, str]:
    wanted = spec()
    where = topology(wanted, directory, facts=host(root=root))
    where = where.relocated(replace(where.layout, environment=environment))
    (file,) = systemd_files(where, templates())
    lines = [line for line in file.content.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_brings_this_spec_up_and_down_again(tmp_path: Path) -> None:
    directory = tmp_path / HOSTILE_FOLDER
    found = unit(directory, environment="production")
    expected = ["/opt/venv/bin/python", "-m", "techsapo_ops"]
    named = ["--file", str(directory / "techsapo.yaml")]
    assert unquoted(found["ExecStart"]) == [*expected, "up", *named, "--yes"]
    assert unquoted(found["ExecStop"]) == [*expected, "down", *named]


def test_each_command_of_the_unit_takes_its_options(tmp_path: Path) -> None:
    found = unit(tmp_path, environment="production")
    for line in ("ExecStart", "ExecReload", "ExecStop"):
        said = techsapo(tmp_path, *unquoted(found[line])[3:], "--help")
        assert said.returncode == 0, said.stderr


@each_row("root, target", [(True, "multi-user.target"), (False, "default.target")])
def test_without_root_it_is_a_unit_of_the_user(tmp_path: Path, root: bool, target: str) -> None:
    assert unit(tmp_path, root=root)["WantedBy"] == target


def test_control_characters_are_refused_in_the_unit() -> None:
    with pytest.raises(OpsError, match="control character"):
        systemd_quote("a\nExecStart=/bin/sh")


def config(directory: Path, **logs: object) -> str:
    wanted = spec(logs=logs)
    (file,) = logrotate_files(topology(wanted, directory), templates())
    return file.content


def test_size_number_and_compression_are_the_specs_for_our_logs_and_pm2s(tmp_path: Path) -> None:
    text = config(tmp_path, max_size="20M", keep=3, compress=False)
    assert re.findall(r"size (\d+)", text) == [str(20 * 1024**2)] * 2
    assert re.findall(r"rotate (\d+)", text) == ["3", "3"]
    assert text.count("nocompress") == 2
    assert f'"{tmp_path}/.techsapo/logs/*.log"' in text
    assert f'"{tmp_path}/.techsapo/logs/pm2/*.log"' in text


def test_a_line_break_in_a_folder_is_refused() -> None:
    with pytest.raises(OpsError, match="control character"):
        log_files(Path("/srv/a\n/etc {"), "*.log")


SYSLOG = "udp://logs.example.com:6514"


def rsyslog_files(directory: Path, **sections: Any) -> dict[str, str]:
    wanted = spec(**sections, monitoring=with_alerts())
    found = rendered(wanted, topology(wanted, directory))
    return {path: file.content for path, file in found.items()}


def test_what_has_a_meaning_to_rsyslog_in_a_folder_stands_for_any_character() -> None:
    assert watched('/srv/a b/[x]*"y"$z\\/app.log') == "/srv/a b/?x???y??z?/app.log"
    assert watched(f"/srv/{HOSTILE_FOLDER}/app.log").count('"') == 0
    assert quoted('a"b$c\\d') == '"a\\"b\\$c\\\\d"'


@each_row("folder, told", [("/home/me/x", True), ("/root", True), ("/srv/home", False)])
def test_a_folder_that_debians_unit_hides_from_rsyslog_is_told_of(folder: str, told: bool) -> None:
    files = rsyslog_files(Path(folder), logs={"syslog": SYSLOG})
    for path in ("rsyslog/techsapo.conf", "docker/rsyslog/techsapo.conf"):
        assert ("ProtectHome=read-only" in files[path]) is told


def test_each_number_becomes_its_own_instance(tmp_path: Path) -> None:
    words = [["/bin/echo", "first", HOSTILE_FOLDER], ["/bin/echo", "second", "'", "a b"]]
    script = instance_script([Program("app", tuple(argv), tmp_path) for argv in words])

    def run(number: int) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            env={"NODE_APP_INSTANCE": str(number), "LANG": "C.UTF-8"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    assert run(0) == (0, f"first {HOSTILE_FOLDER}\n")
    assert run(1) == (0, "second ' a b\n")
    assert run(2) == (1, "")
