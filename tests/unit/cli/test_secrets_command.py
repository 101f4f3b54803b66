"""`techsapo secrets show`: the secret as it is, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def shown(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "techsapo_ops", "secrets", "show", "redis", *options]
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "techsapo.yaml").write_text(
        'project: lab\nredis: {password: "a\\u200bc\\u202ed-password"}\n', encoding="utf-8"
    )
    (tmp_path / "techsapo.yaml").chmod(0o600)
    return tmp_path


def test_a_secret_that_no_terminal_shows_is_printed_as_json_or_not_at_all(folder: Path) -> None:
    plain = shown(folder)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert "--json prints it" in plain.stderr
    assert json.loads(shown(folder, "--json").stdout)["secret"] == "a\u200bc\u202ed-password"
