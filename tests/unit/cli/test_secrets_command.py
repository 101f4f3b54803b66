"""`techsapo config secrets show`: the secret as it is, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from in_process import techsapo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "techsapo.yaml").write_text(
        'project: lab\nredis: {password: "a\\u200bc\\u202ed-password"}\n', encoding="utf-8"
    )
    (tmp_path / "techsapo.yaml").chmod(0o600)
    return tmp_path


def test_a_secret_that_no_terminal_shows_is_printed_as_json_or_not_at_all(folder: Path) -> None:
    (folder / "redis-server").touch(0o755)
    show, server = ("config", "secrets", "show", "redis"), {"PATH": str(folder)}
    plain = techsapo(folder, *show, env=server)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert "--json prints it" in plain.stderr
    told = json.loads(techsapo(folder, *show, "--json", env=server).stdout)
    assert told["secret"] == "a\u200bc\u202ed-password"
