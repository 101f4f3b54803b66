"""The pages that are made from the code are current, and name all that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml
from rows import each_row

from docsite.reference.__main__ import ROOT, made, stale
from docsite.reference.commands import man_pages
from docsite.reference.parts import facts
from docsite.reference.tree import commands
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.metrics import job_metrics, metrics
from techsapo_ops.cli.commands import cron, drift, generate, health, jobs, plan
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.spec.fields import ROOT as SPEC
from techsapo_ops.spec.fields import fields_of


def test_they_are_what_the_code_makes() -> None:
    # In a process of its own: other tests let Typer speak Japanese.
    check = [sys.executable, "-m", "docsite.reference", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_changed_by_hand_is_left_over_or_is_missing_is_told(tmp_path: Path) -> None:
    for name, text in made().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert stale(tmp_path) == []
    (tmp_path / "docs/reference/alerts.md").write_text("mine", encoding="utf-8")
    (tmp_path / "docs/man/techsapo-gone.1").touch()
    (tmp_path / "docs/man/techsapo-up.1").unlink()
    assert stale(tmp_path) == [
        "docs/man/techsapo-gone.1",
        "docs/man/techsapo-up.1",
        "docs/reference/alerts.md",
    ]


@each_row("language", ["", ".ja"])
def test_the_references_name_every_field_metric_alert_and_command(language: str) -> None:
    pages = {
        name: made()[f"docs/reference/{name}{language}.md"]
        for name in ("configuration", "metrics", "alerts", "commands")
    }
    assert {f"`{key}`" for key in fields_of(SPEC.models[0])} <= set(
        re.findall(r"^\| (`\w+`)", pages["configuration"], re.MULTILINE)
    )
    assert "## `providers.NAME`" in pages["configuration"]
    assert {*metrics(), *job_metrics()} == set(re.findall(r"^\| `(\w+)`", pages["metrics"], re.MULTILINE))
    assert set(alerts()) == set(re.findall(r"^\| \[(\w+)\]", pages["alerts"], re.MULTILINE))
    assert not re.search(r"\{(?:threshold|minimum|window|for)\}", pages["alerts"])
    assert {f"techsapo {name}" for name in COMMANDS} <= set(
        re.findall(r"^##+ (.+)$", pages["commands"], re.MULTILINE)
    )
    assert len(commands()) > 80
    for page in pages.values():
        assert not re.search(r"^\|.*\|\n(?!\||\n|\Z)", page, re.MULTILINE), "a row of a table that is broken"


def test_man_takes_every_page(tmp_path: Path) -> None:
    for name, text in man_pages().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        for line in text.splitlines():
            assert not line.startswith(".") or re.match(r"\.(?:TH|SH|TP|BR?|PP|RS|RE|nf|fi|br)\b", line), (
                f"{name}: {line}"
            )
    assert set(man_pages()) == {"techsapo.1", *(f"techsapo-{name}.1" for name in COMMANDS)}


def test_exit_codes_are_those_of_the_code() -> None:
    of = facts("exit_codes.yaml")["of"]
    assert set(of) <= set(COMMANDS)
    assert {str(code): status for status, code in health.EXIT_CODES.items()} == {
        code: text["en"] for code, text in of["health"].items() if code != str(health.WRONG)
    }
    constants = (plan.CHANGES_PENDING, drift.DRIFTED, cron.CHANGES, generate.CHANGES_PENDING)
    assert {str(each) for each in constants} == {"100"}
    assert str(jobs.INTERRUPTED) in facts("exit_codes.yaml")["every"]
    package = ROOT / "techsapo_ops" / "cli" / "commands"
    with_100 = {
        path.stem
        for path in package.glob("*.py")
        if re.search(r"^_?[A-Z_]+ = 100$", path.read_text(), re.MULTILINE)
    }
    assert with_100 == {name for name, codes in of.items() if "100" in codes}


def test_every_variable_is_read_and_every_one_of_ours_that_users_set_is_there() -> None:
    read = set(
        re.findall(
            r"\b[A-Z][A-Z_]{3,}\b",
            subprocess.run(
                ["grep", "-rhoE", "\"(TECHSAPO_[A-Z_]+|[A-Z_]{4,})\"", "techsapo_ops", "--include=*.py"],
                cwd=ROOT, capture_output=True, text=True, check=True,
            ).stdout,
        )
    )  # fmt: skip
    told = set(facts("environment.yaml"))
    assert told - read - {"SSL_CERT_FILE"} == set(), "ssl reads that one"
    # Between processes of a stack, and for a deploy hook, which docs/certificates.md tells of.
    inner = {name for name in read if name.startswith("TECHSAPO_")} - told
    assert {
        n
        for n in inner
        if not re.search(r"STATE|SERVICE|RESULT_FD|VERSION|CERTIFICATE|DOLLAR|CODE|ADDRESS", n)
    } == set()


def test_both_languages_have_words_for_all() -> None:
    def whole(value: object) -> bool:
        if isinstance(value, dict) and ("en" in value or "ja" in value):
            return {"en", "ja"} <= value.keys() and all(value.values())
        return all(map(whole, value.values())) if isinstance(value, dict) else True

    for name in ("words.yaml", "exit_codes.yaml", "environment.yaml"):
        assert whole(facts(name)), name
        assert yaml.safe_load((ROOT / "docsite/reference" / name).read_text(encoding="utf-8")) == facts(name)
