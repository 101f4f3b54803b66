"""keys create and keys list, as a user runs them; tests/lab/test_keys_lab.py has what the keys open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text("project: x\n", encoding="utf-8")
    return tmp_path


def keys(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "techsapo_ops", "keys", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TZ": "UTC"},
    )


@pytest.mark.parametrize(
    "limit",
    [
        ("--expires", "0s"),
        ("--expires", "soon"),
        ("--monthly-usd", "inf"),
        ("--daily-usd", "nan"),
        ("--daily-usd", "1e300"),
        ("--per-minute", "99999999999999999999"),
    ],
)
def test_a_limit_that_the_app_can_not_keep_makes_no_key(folder: Path, limit: tuple[str, str]) -> None:
    done = keys(folder, "create", "ci", *limit)
    assert done.returncode == 2
    assert limit[0] in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(keys(folder, "list", "--json").stdout) == []


def test_a_key_is_listed_with_each_scope_once_and_the_minute_in_which_it_expires(folder: Path) -> None:
    scopes = ("--scope", "ask", "--scope", "monitor", "--scope", "ask")
    done = keys(folder, "create", "日本語", "--expires", "90d", *scopes, "--json")
    made = json.loads(done.stdout)
    assert made["scopes"] == ["ask", "monitor"]
    listed = keys(folder, "list").stdout
    assert made["expires"][:16].replace("T", " ") in listed
    assert made["key"] not in listed
