"""Which spec a command is about, and what it says where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import techsapo
from rows import each_row

from techsapo_ops.cli import place
from techsapo_ops.cli.options import SpecChoice

SPEC = "project: here\nengine: native\n"
NEEDS_A_STACK = [
    words.split()
    for words in (
        "ps", "ps --json", "logs", "down --yes", "changes list", "changes diff", "changes drift", "plan",
        "rollback --yes", "maintenance status", "audit show", "jobs history costs", "monit --once",
        "keys list",
    )
]  # fmt: skip


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that root alone may change and others may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="techsapo-place-") as made:
        Path(made).chmod(0o755)
        yield Path(made).resolve()


@each_row("words", NEEDS_A_STACK, ids=map(" ".join, NEEDS_A_STACK))
def test_where_there_is_no_spec_every_command_that_needs_a_stack_fails_as_validate_does(
    top: Path, words: list[str]
) -> None:
    wanted = techsapo(top, "validate")
    assert (wanted.returncode, wanted.stdout) == (1, "")
    assert wanted.stderr.startswith("error: there is no spec at techsapo.yaml; no parent folder has a spec")
    told = techsapo(top, *words)
    assert (told.returncode, told.stdout, told.stderr) == (wanted.returncode, "", wanted.stderr)
    assert list(top.iterdir()) == []


@each_row(
    "words, variables",
    [
        (["ps"], {"TECHSAPO_FILE": "~nouser/techsapo.yaml"}),
        (["recover", "--from", "/mnt/backups", "--into", "~nouser"], {}),
        (["recover", "--from", "~nouser/backups", "--into", "new"], {"RESTIC_PASSWORD": "x"}),
    ],
)
def test_the_home_folder_of_nobody_is_said_to_be_so(
    top: Path, words: list[str], variables: dict[str, str]
) -> None:
    told = techsapo(top, *words, env=variables)
    assert told.returncode == 1
    said = "error: there is no user 'nouser' on this host\ntry: write the full path, starting with /"
    assert said in told.stderr


def test_a_folder_above_is_searched_and_named_but_not_where_quiet_or_json_is_asked_for(top: Path) -> None:
    (top / "techsapo.yaml").write_text(SPEC)
    below = top / "deep" / "below"
    below.mkdir(parents=True)
    told = techsapo(below, "validate")
    assert told.returncode == 0, told.stderr
    assert f"spec: {top}/techsapo.yaml\n" in told.stderr
    assert "spec:" not in techsapo(below, "validate", "--quiet").stderr
    assert "spec:" not in techsapo(below, "ps", "--json").stderr
    assert "spec:" not in techsapo(top, "validate").stderr


def test_paths_in_a_spec_above_start_at_the_spec(top: Path) -> None:
    (top / "key").write_text("sk-a\n")
    (top / "key").chmod(0o600)
    provider = "{kind: openai, model: m, api_key_file: key, price: {input: 1, output: 1}}"
    (top / "techsapo.yaml").write_text(f"{SPEC}providers:\n  a: {provider}\n  b: {provider}\n")
    (top / "below").mkdir()
    told = techsapo(top / "below", "validate")
    assert told.returncode == 0, told.stderr
    assert (top / "below" / ".techsapo").exists() is False


def test_the_nearest_spec_is_taken(top: Path) -> None:
    (top / "techsapo.yaml").write_text(SPEC)
    nearer = top / "nearer"
    (nearer / "below").mkdir(parents=True)
    (nearer / "techsapo.yaml").write_text(SPEC)
    assert f"spec: {nearer}/techsapo.yaml\n" in techsapo(nearer / "below", "validate").stderr


def test_a_stack_whose_spec_is_gone_is_still_found(top: Path) -> None:
    (top / ".techsapo").mkdir()
    assert techsapo(top, "down").returncode == 0
    (top / ".techsapo" / "generated" / "app").mkdir(parents=True)
    (top / ".techsapo" / "generated" / "app" / "techsapo.yaml").write_text("project: a part\n")
    (top / "techsapo.yaml").write_text(SPEC)
    told = techsapo(top / ".techsapo" / "generated" / "app", "validate")
    assert f"spec: {top}/techsapo.yaml\n" in told.stderr, "what is rendered is no spec of a stack"


def test_a_variable_names_the_spec_and_the_environment_and_options_win(top: Path) -> None:
    (top / "one.yaml").write_text(f"{SPEC}environments: {{staging: {{app: {{port: 4100}}}}}}\n")
    (top / "two.yaml").write_text(SPEC)
    named = {"TECHSAPO_FILE": "one.yaml", "TECHSAPO_ENVIRONMENT": "staging"}
    told = techsapo(top, "config", "show", env=named)
    assert "spec: one.yaml" in told.stderr
    assert "port: 4100" in told.stdout
    for option in ("--file", "-F"):
        told = techsapo(top, "validate", option, "two.yaml", env={"TECHSAPO_FILE": "one.yaml"})
        assert (told.returncode, told.stderr.count("spec: ")) == (0, 0), told.stderr
        assert told.stdout.startswith("two.yaml is valid")
    wrong = techsapo(
        top, "validate", "-e", "production", "--file", "one.yaml", env={"TECHSAPO_ENVIRONMENT": "no"}
    )
    assert "there is no environment no" not in wrong.stderr
    wrong = techsapo(top, "validate", env={"TECHSAPO_FILE": "one.yaml", "TECHSAPO_ENVIRONMENT": "no"})
    assert "there is no environment no" in wrong.stderr
    told = techsapo(top, "jobs", "history", "drift", env={"TECHSAPO_FILE": "one.yaml"})
    assert (told.returncode, told.stderr.count("spec: one.yaml")) == (0, 1), "a group's own work is not done"
    gone = techsapo(top, "ps", env={"TECHSAPO_FILE": "gone/techsapo.yaml"})
    assert gone.returncode == 1
    missing = "error: there is no spec at gone/techsapo.yaml; the path comes from TECHSAPO_FILE\n"
    assert gone.stderr.startswith(missing)
    assert techsapo(top, "ps", env={"TECHSAPO_FILE": ""}).returncode == 1, "an empty one is none"


def test_f_is_follow_in_logs_and_the_spec_stays_what_it_was(top: Path) -> None:
    """Followed logs of a stack that has none end at once; -f takes no value there."""
    (top / "techsapo.yaml").write_text(SPEC)
    assert "there are no logs yet" in techsapo(top, "logs", "-f").stderr
    assert "there are no logs yet" in techsapo(top, "logs", "-F", "techsapo.yaml", "-f").stderr


def test_what_others_may_change_is_not_taken_from_a_folder_above(top: Path) -> None:
    """tests/lab/engines/test_root_trust_lab.py has files of other users."""
    (top / "techsapo.yaml").write_text(SPEC)
    below = top / "below"
    below.mkdir()
    for mode in (0o1777, 0o777):
        top.chmod(mode)
        told = techsapo(below, "ps")
        assert told.returncode == 1
        assert "error: there is no spec at techsapo.yaml; " in told.stderr
        assert f"{top}/techsapo.yaml is ignored: " in told.stderr
        assert "is writable by everyone" in told.stderr
        assert techsapo(below, "alerts", "runbook", "AppDown").returncode == 0, "what needs no spec goes on"


def test_a_folder_that_was_removed_under_the_command_is_said(top: Path) -> None:
    gone = top / "gone"
    gone.mkdir()
    code = (
        f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        "import sys; sys.argv = ['techsapo', 'ps']\nfrom techsapo_ops.cli.main import main; main()"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    hint = "try: change to another folder with `cd`\n"
    assert told.stderr == f"error: the current folder no longer exists\n{hint}"


def test_a_variable_may_begin_with_the_home_folder_and_is_for_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TECHSAPO_FILE", "~/mine.yaml")
    monkeypatch.setenv("TECHSAPO_ENVIRONMENT", "staging")
    chosen = SpecChoice()
    assert (chosen.file, chosen.environment) == (tmp_path / "mine.yaml", "staging")
    assert not {"TECHSAPO_FILE", "TECHSAPO_ENVIRONMENT"} & os.environ.keys()


def test_a_state_directory_above_is_no_stack_without_its_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".techsapo").mkdir()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert not place.find(None).announce
    monkeypatch.chdir(tmp_path)
    assert place.find(None) == place.SpecLocation(place.DEFAULT_SPEC)
