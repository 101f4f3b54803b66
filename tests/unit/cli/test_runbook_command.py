"""`techsapo alerts runbook`: what to do, also where nothing else works."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from in_process import techsapo
from rows import each_row

from techsapo_ops.catalogue.runbooks import runbooks


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return techsapo(folder, "alerts", "runbook", *words, env={"PATH": "", "TECHSAPO_LANG": ""} | variables)


def test_a_runbook_is_shown_without_a_spec_and_in_a_pipe_it_is_markdown(tmp_path: Path) -> None:
    said = run(tmp_path, "AppDown")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == runbooks()["AppDown"].text["en"]


@each_row(
    "spec, words, variables, language",
    [
        ("project: x\n", (), {"LANG": "en_GB.UTF-8"}, "ja"),
        ("project: x\nlocale: en\n", (), {"LANG": "ja_JP.UTF-8"}, "en"),
        ("project: x\nlocale: en\n", ("--lang", "ja"), {}, "ja"),
        ("", (), {"LANG": "ja_JP.UTF-8"}, "ja"),
        ("", (), {"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"),
    ],
)
def test_its_language_is_that_of_the_spec_or_without_one_of_the_terminal(
    tmp_path: Path, spec: str, words: tuple[str, ...], variables: dict[str, str], language: str
) -> None:
    if spec:
        (tmp_path / "techsapo.yaml").write_text(spec)
    said = run(tmp_path, "RedisDown", "--json", *words, **variables)
    told = json.loads(said.stdout)
    assert told["language"] == language
    page = runbooks()["RedisDown"]
    shown = page.of_stack({}, several=False) if spec else page
    assert told["text"] == shown.text[language]
    assert len(told["steps"]) == 2


def test_a_spec_that_can_not_be_read_keeps_nobody_from_the_runbook(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: [\n")
    said = run(tmp_path, "AppDown")
    assert said.returncode == 0
    assert said.stdout == runbooks()["AppDown"].text["en"]
    assert "--lang" in said.stderr


def test_with_a_spec_addresses_have_its_ports(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text(
        "project: x\nlocale: en\nmonitoring: {prometheus: {port: 19090}}\n"
    )
    (tmp_path / "prometheus").touch(0o755)
    told = json.loads(run(tmp_path, "TargetDown", "--json", PATH=str(tmp_path)).stdout)
    assert any("http://127.0.0.1:19090/targets" in step for step in told["steps"])
    assert "localhost:9090" not in told["text"]


def test_without_a_name_all_are_listed_with_what_they_mean(tmp_path: Path) -> None:
    said = run(tmp_path)
    lines = said.stdout.splitlines()
    assert {line.split()[0] for line in lines[1:]} == set(runbooks())
    told = json.loads(run(tmp_path, "--json").stdout)
    assert {row["name"] for row in told} == set(runbooks())
