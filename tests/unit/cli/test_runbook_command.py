"""`techsapo alerts runbook`: what to do, also where nothing else works."""

from __future__ import annotations

import subprocess
from pathlib import Path

from in_process import techsapo
from rows import each_row

from techsapo_ops.catalogue.pages import runbooks


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
    said = run(tmp_path, "RedisDown", *words, **variables)
    page = runbooks()["RedisDown"]
    shown = page.of_stack({}, hosts=0) if spec else page
    assert said.stdout == shown.text[language]


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
    said = run(tmp_path, "TargetDown", PATH=str(tmp_path)).stdout
    assert "http://127.0.0.1:19090/targets" in said
    assert "localhost:9090" not in said
