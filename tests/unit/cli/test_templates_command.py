"""`techsapo config generate` and `config templates`, and what is said of a user's own templates."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import in_process
import pytest
from rows import each_row

from techsapo_ops.adapters.build import read_content

NAME = "logrotate/techsapo.j2"
MINE = "# mine\n"
SPEC = "project: techsapo\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "プロ ジェクト"
    folder.mkdir()
    (folder / "techsapo.yaml").write_text(SPEC)
    return folder


def techsapo(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(project, *words, env={"PATH": ""})


def of_clone(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line of the package that lies in `clone`."""
    argv = [sys.executable, "-P", "-m", "techsapo_ops", *words]
    environment = {"PATH": "", "NO_COLOR": "1", "PYTHONPATH": str(clone)}
    return subprocess.run(argv, cwd=clone, env=environment, capture_output=True, text=True, check=False)


def override(project: Path, folder: str = "template-overrides", text: str = MINE, name: str = NAME) -> Path:
    path = project / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def generated(project: Path) -> str:
    return (project / ".techsapo/generated/logrotate/techsapo").read_text()


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in {0, 100}, done.stderr
    return done.stderr


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A clone in which somebody ran `make up`: the spec lies in it."""
    copy = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "techsapo_ops", copy / "techsapo_ops", ignore=ignored)
    shutil.copytree(repository / "templates", copy / "templates")
    (copy / ".ci").mkdir()
    shutil.copy(repository / ".ci/requirements.lock", copy / ".ci")
    (copy / "techsapo.yaml").write_text(SPEC)
    return copy


def test_in_a_clone_a_template_is_ejected_and_ours_is_not_taken_for_the_users(checkout: Path) -> None:
    digest = read_content(checkout / "techsapo_ops").digest
    ejected = of_clone(checkout, "config", "templates", "eject", NAME)
    assert ejected.returncode == 0, ejected.stderr
    copy = checkout / "template-overrides" / NAME
    assert ejected.stdout == f"{copy}\n"
    copy.write_text(MINE)
    assert "template_overrides:" not in told(of_clone(checkout, "config", "generate"))
    assert generated(checkout) == MINE
    assert read_content(checkout / "techsapo_ops").digest == digest, "an override is no other build"
    (checkout / "techsapo.yaml").write_text(f"{SPEC}template_overrides: templates\n")
    done = of_clone(checkout, "config", "templates", "eject", NAME)
    assert done.returncode == 1
    assert f"{checkout}/templates contains the built-in templates" in done.stderr


def test_the_folder_is_the_one_that_the_spec_or_its_overlay_names(project: Path) -> None:
    (project / "techsapo.yaml").write_text(
        f"{SPEC}template_overrides: mine\nenvironments: {{staging: {{template_overrides: other}}}}\n"
    )
    made = techsapo(project, "config", "templates", "eject", NAME)
    assert made.stdout == f"{project}/mine/{NAME}\n", "it is made, also where it is not there yet"
    override(project, "mine")
    override(project, "other", "# other\n")
    techsapo(project, "config", "generate")
    assert generated(project) == MINE
    techsapo(project, "config", "generate", "-e", "staging")
    assert generated(project) == "# other\n"


@each_row("command", ["validate", "config generate", "plan", "up"])
def test_a_folder_that_the_spec_names_and_that_is_not_there_is_an_error_with_its_line(
    project: Path, command: str
) -> None:
    (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: mine\n")
    done = techsapo(project, *command.split())
    assert done.returncode == 1
    assert f"techsapo.yaml:2:21 template_overrides: there is no folder {project}/mine" in done.stderr
    assert not (project / ".techsapo" / "generated").exists()


def test_validate_tells_of_it_in_json_too(project: Path) -> None:
    (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: mine\n")
    problem = {"line": 2, "column": 21, "path": "template_overrides"}
    refused = json.loads(techsapo(project, "validate", "--json").stdout)
    assert problem.items() <= refused["problems"][0].items()
    override(project, "mine")
    override(project, "mine", name="logrotate/techsapo.conf.j2")
    value = json.loads(techsapo(project, "validate", "--json").stdout)
    assert value["valid"] is True
    assert problem.items() <= value["warnings"][0].items()


def test_diff_shows_what_is_yours(project: Path) -> None:
    without = techsapo(project, "config", "templates", "diff", NAME)
    assert (without.returncode, f"you have no template {NAME}" in without.stderr) == (2, True)
    assert f"`techsapo config templates eject {NAME}` makes a copy" in without.stderr
    assert techsapo(project, "config", "templates", "eject", NAME).returncode == 0
    assert techsapo(project, "config", "templates", "eject", NAME).returncode == 1, "yours is kept"
    listed = json.loads(techsapo(project, "config", "templates", "list", "--json").stdout)
    assert {"name": NAME, "overridden": True} in listed
    same = techsapo(project, "config", "templates", "diff", NAME)
    assert (same.returncode, same.stdout) == (0, "")
    assert "is the same as the built-in template" in same.stderr
    copy = project / "template-overrides" / NAME
    copy.write_text(MINE + copy.read_text())
    shown = techsapo(project, "config", "templates", "diff", NAME).stdout.splitlines()
    assert shown[:2] == [f"--- built-in {NAME}", f"+++ {copy}"]
    assert [line for line in shown[2:] if line[0] in "+-"] == [f"+{MINE.strip()}"]


def test_doctor_tells_of_templates(project: Path) -> None:
    def found() -> list[tuple[str, str]]:
        findings = json.loads(techsapo(project, "doctor", "--json").stdout)["findings"]
        return [(f["level"], f["detail"]) for f in findings if f["topic"] == "templates"]

    assert found() == []
    override(project)
    assert found() == [("ok", f"in {project}/template-overrides")]
    (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: mine\n")
    assert ("missing", f"there is no folder {project}/mine") in found()


SMALL = """\
project: techsapo
monitoring: {prometheus: {enabled: false}, alertmanager: {enabled: false}, grafana: {enabled: false}}
"""


@pytest.fixture
def small(project: Path) -> Path:
    (project / "techsapo.yaml").write_text(SMALL)
    return project


def test_check_says_what_would_change_exits_100_and_writes_nothing(small: Path) -> None:
    done = techsapo(small, "config", "generate", "--check")
    assert done.returncode == 100
    assert "added    app/techsapo.yaml" in done.stdout.splitlines()
    assert done.stderr.splitlines()[-1] == "next: techsapo config generate"
    assert not (small / ".techsapo").exists()


def test_a_missing_tool_is_named_with_its_remedy(small: Path) -> None:
    (small / "techsapo.yaml").write_text("project: techsapo\n")
    said = techsapo(small, "config", "generate", "--check").stderr
    assert "warning: not checked, because promtool is not installed" in said
    assert "(apt-get install prometheus)" in " ".join(said.split())


def test_written_once_the_files_are_up_to_date(small: Path) -> None:
    first = techsapo(small, "config", "generate")
    assert first.returncode == 0, first.stderr
    assert (small / ".techsapo/generated/ecosystem.config.js").is_file()
    assert first.stderr.splitlines()[-1] == "next: techsapo up"
    again = techsapo(small, "config", "generate", "--check")
    assert (again.returncode, again.stdout) == (0, "")
    assert "are up to date" in again.stderr


def test_a_hand_edited_file_stops_it_and_force_goes_on(small: Path) -> None:
    techsapo(small, "config", "generate")
    edited = small / ".techsapo/generated/logrotate/techsapo"
    edited.write_text("mine\n")
    refused = techsapo(small, "config", "generate")
    assert refused.returncode == 1
    assert str(edited) in refused.stderr
    looked = techsapo(small, "config", "generate", "--check", "--diff")
    assert looked.returncode == 100
    assert "edited   logrotate/techsapo" in looked.stdout
    assert "\n-mine\n" in looked.stdout
    assert edited.read_text() == "mine\n"
    assert techsapo(small, "config", "generate", "--force").returncode == 0
    assert "mine" not in edited.read_text()
