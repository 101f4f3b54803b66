"""What a shell offers after Tab: names of the project and of the package, from an index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from techsapo_ops.cli.completing import VARIABLE
from techsapo_ops.cli.completion_tree import index_of_commands
from techsapo_ops.cli.main import app

SPEC = (
    "project: lab\nengine: native\nbackup: {path: kept}\n"
    "certificates: {site: {names: [techsapo.example.com]}}\n"
    "environments: {staging: {}, production: {}}\n"
)
RUN = (
    "import sys\nsys.argv = ['techsapo']\nfrom techsapo_ops.cli.main import main\n"
    "try: main()\nexcept SystemExit: pass\nprint('\\nIMPORTED', *sys.modules)\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "kept" / "20261126T030000Z").mkdir(parents=True)
    (folder / "techsapo.yaml").write_text(SPEC)
    return folder


def asked(folder: Path, line: str, shell: str = "bash") -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(folder.parent), VARIABLE: f"complete_{shell}",
        "XDG_CACHE_HOME": str(folder.parent / "cache"), "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1), "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", RUN], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )


def offered(folder: Path, line: str) -> list[str]:
    return asked(folder, line).stdout.partition("\nIMPORTED")[0].split()


def cached(folder: Path, beginning: str) -> Path:
    (found,) = (folder.parent / "cache/techsapo").glob(f"{beginning}*.json")
    return found


def test_every_kind_of_name_is_offered(folder: Path) -> None:
    for line, wanted in (
        ("techsapo restart a", {"app"}),
        ("techsapo exec ", {"app"}),
        ("techsapo backup show ", {"latest", "20261126T030000Z"}),
        ("techsapo backup show 2026", {"20261126T030000Z"}),
        ("techsapo jobs run dri", {"drift", "drill_restore"}),
        ("techsapo alerts show AppD", {"AppDown"}),
        ("techsapo certs renew ", {"site"}),
        ("techsapo up -e st", {"staging"}),
        ("techsapo plan --environment ", {"staging", "production"}),
        ("techsapo explain app.inst", {"app.instances"}),
        ("techsapo open gr", {"grafana"}),
        ("techsapo stat", {"status"}),
        ("techsapo status --wat", {"--watch"}),
        ("techsapo up --engine ", {"native", "compose"}),
        ("techsapo -", {"--version"}),
    ):
        assert wanted <= set(offered(folder, line)), line
        word = line.rpartition(" ")[2]
        assert all(each.startswith(word) for each in offered(folder, line)), line
    assert offered(folder, "techsapo exec redis redis-cli -") == [], "that is for the other program"


def test_an_index_that_is_there_is_enough_and_no_command_is_imported(folder: Path) -> None:
    asked(folder, "techsapo restart ")
    again = asked(folder, "techsapo restart ")
    imported = set(again.stdout.partition("\nIMPORTED")[2].split())
    assert not {"pydantic", "yaml", "rich"} & imported
    assert not [m for m in imported if m.startswith(("techsapo_ops.cli.commands.", "techsapo_ops.spec."))]
    assert "app" in again.stdout.split()


def test_a_changed_spec_is_read_anew_and_a_broken_one_leaves_what_was_known(folder: Path) -> None:
    assert offered(folder, "techsapo certs renew ") == ["site"]
    spec = folder / "techsapo.yaml"
    spec.write_text(SPEC.replace("{site:", "{other:"))
    assert offered(folder, "techsapo certs renew ") == ["other"]
    spec.write_text("project: [\n")
    assert offered(folder, "techsapo certs renew ") == ["other"]
    done = asked(folder, "techsapo certs renew ")
    assert done.stderr == ""


def test_a_spec_that_is_named_is_the_one_whose_names_are_offered(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(SPEC.replace("{site:", "{theirs:"))
    assert offered(folder, f"techsapo certs renew --file {other} ") == ["theirs"]


def test_an_index_that_others_may_write_is_not_read_and_hostile_names_are_not_offered(folder: Path) -> None:
    offered(folder, "techsapo certs renew ")
    kept = cached(folder, "completion-of-")
    planted = {
        **json.loads(kept.read_text()),
        "certificates": ["fine", "$(touch gone)", '"; rm -rf ~', "a b"],
    }
    kept.write_text(json.dumps(planted))
    assert offered(folder, "techsapo certs renew ") == ["fine"]
    kept.chmod(0o666)
    assert offered(folder, "techsapo certs renew ") == ["site"]
    kept.unlink()
    kept.symlink_to(folder / "techsapo.yaml")
    assert offered(folder, "techsapo certs renew ") == ["site"]


def test_without_a_place_for_the_index_the_same_is_offered(folder: Path) -> None:
    (folder.parent / "cache").write_text("a file where a folder should be")
    assert offered(folder, "techsapo alerts show AppD") == ["AppDown"]


@pytest.mark.parametrize(("shell", "words"), [("zsh", '"AppDown"'), ("fish", "AppDown"), ("bash", "AppDown")])
def test_each_shell_is_answered_in_its_own_way(folder: Path, shell: str, words: str) -> None:
    assert words in asked(folder, "techsapo alerts show AppD", shell).stdout


def test_every_argument_that_takes_names_says_which() -> None:
    index = index_of_commands(app)

    def whats(node: dict, path: str) -> dict[str, str]:  # type: ignore[type-arg] # as JSON has it
        found = {path: node["arguments"][0]["what"]} if node["arguments"] else {}
        for name, below in node["commands"].items():
            found |= whats(below, f"{path} {name}".strip())
        return found

    told = whats(index, "")
    for path, what in {
        "up": "services", "stop": "services", "start": "services", "exec": "services", "logs": "services",
        "reload": "services", "restore": "backups", "backup show": "backups", "jobs history": "jobs",
        "alerts ack": "alerts", "runbook": "alerts", "certs renew": "certificates", "explain": "fields",
        "secrets show": "secrets",
    }.items():  # fmt: skip
        assert told[path] == what, path
    assert os.sep not in "".join(index["names"]["fields"])
