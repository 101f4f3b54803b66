"""`techsapo config generate` and `config templates` as a user calls them; no tool is on PATH here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import in_process
import pytest

from techsapo_ops.render.templates import template_root

SMALL = """\
project: techsapo
monitoring: {prometheus: {enabled: false}, alertmanager: {enabled: false}, grafana: {enabled: false}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "プロ ジェクト"
    folder.mkdir()
    (folder / "techsapo.yaml").write_text(SMALL)
    return folder


def techsapo(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(project, *words, env={"PATH": ""})


def test_check_says_what_would_change_exits_100_and_writes_nothing(project: Path) -> None:
    done = techsapo(project, "config", "generate", "--check")
    assert done.returncode == 100
    assert "added    app/techsapo.yaml" in done.stdout.splitlines()
    assert done.stderr.splitlines()[-1] == "next: techsapo config generate"
    assert not (project / ".techsapo").exists()


def test_a_missing_tool_is_named_with_its_remedy(project: Path) -> None:
    (project / "techsapo.yaml").write_text("project: techsapo\n")
    said = techsapo(project, "config", "generate", "--check").stderr
    assert "warning: promtool is not here" in said
    assert "apt-get install prometheus brings it" in said


def test_written_once_the_files_are_up_to_date(project: Path) -> None:
    first = techsapo(project, "config", "generate")
    assert first.returncode == 0, first.stderr
    assert (project / ".techsapo/generated/ecosystem.config.js").is_file()
    assert first.stderr.splitlines()[-1] == "next: techsapo up"
    again = techsapo(project, "config", "generate", "--check")
    assert (again.returncode, again.stdout) == (0, "")
    assert "are up to date" in again.stderr


def test_a_hand_edited_file_stops_it_and_force_goes_on(project: Path) -> None:
    techsapo(project, "config", "generate")
    edited = project / ".techsapo/generated/logrotate/techsapo"
    edited.write_text("mine\n")
    refused = techsapo(project, "config", "generate")
    assert refused.returncode == 1
    assert str(edited) in refused.stderr
    looked = techsapo(project, "config", "generate", "--check", "--diff")
    assert looked.returncode == 100
    assert "edited   logrotate/techsapo" in looked.stdout
    assert "\n-mine\n" in looked.stdout
    assert edited.read_text() == "mine\n"
    assert techsapo(project, "config", "generate", "--force").returncode == 0
    assert "mine" not in edited.read_text()


def test_a_template_is_listed_ejected_once_and_then_used(project: Path) -> None:
    name = "logrotate/techsapo.j2"
    listed = json.loads(techsapo(project, "config", "templates", "list", "--json").stdout)
    assert {"name": name, "overridden": False} in listed
    ejected = techsapo(project, "config", "templates", "eject", name)
    copy = project / "template-overrides" / name
    assert ejected.stdout.strip() == str(copy)
    assert copy.read_text() == (template_root() / name).read_text()
    assert techsapo(project, "config", "templates", "eject", name).returncode == 1
    copy.write_text("# ours\n" + copy.read_text())
    techsapo(project, "config", "generate")
    assert (project / ".techsapo/generated/logrotate/techsapo").read_text().startswith("# ours\n")
    assert f"{name}" in techsapo(project, "config", "templates", "list").stdout
