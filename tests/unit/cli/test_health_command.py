"""`techsapo health` and `techsapo doctor` as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import in_process
import peers
import pytest
from rows import each_row
from servers import free_port


def techsapo(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(cwd, *words, env={"PATH": ""})


def spec(folder: Path, port: int) -> None:
    text = f"project: techsapo\napp: {{port: {port}}}\nschedule: {{by: none}}\n"
    (folder / "techsapo.yaml").write_text(text)


@each_row(
    "status, body, code, word",
    [
        ("200 OK", {"status": "healthy"}, 0, "healthy"),
        ("200 OK", {"status": "degraded", "dependencies": {"cache": {"status": "degraded"}}}, 1, "degraded"),
        ("503 No", {"status": "down"}, 2, "down"),
    ],
)
def test_the_exit_code_tells_how_the_stack_is(
    tmp_path: Path, status: str, body: object, code: int, word: str
) -> None:
    with peers.peer(peers.http(status, json.dumps(body).encode())) as port:
        spec(tmp_path, port)
        table = techsapo("health", cwd=tmp_path)
        asked = techsapo("health", "--json", cwd=tmp_path)
    assert (table.returncode, asked.returncode) == (code, code), table.stderr
    assert table.stdout.splitlines()[0].split() == ["NAME", "STATUS", "MS", "DETAIL"]
    assert table.stdout.splitlines()[-1].startswith(f"{word}: ")
    value = json.loads(asked.stdout)
    assert value["status"] == word
    assert set(value["probes"][0]) == {"name", "kind", "status", "detail", "seconds", "hint", "build"}


def test_a_stack_that_is_not_up_is_told_how_to_start(tmp_path: Path) -> None:
    spec(tmp_path, free_port())
    done = techsapo("health", cwd=tmp_path)
    assert done.returncode == 2
    assert "connection refused" in done.stdout
    assert "techsapo up" in done.stderr


@each_row(
    "words, text",
    [
        (("health",), "project: [\n"),
        (("health",), "project: techsapo\nunknown: 1\n"),
        (("health",), None),
        (("health", "--timeout", "0"), "project: techsapo\n"),
        (("health", "--nonsense"), "project: techsapo\n"),
        (("health", "--timeout", "soon"), "project: techsapo\n"),
        (("health", "-e", "nowhere"), "project: techsapo\n"),
    ],
)
def test_a_wrong_spec_or_usage_ends_with_3(tmp_path: Path, words: tuple[str, ...], text: str | None) -> None:
    if text is not None:
        (tmp_path / "techsapo.yaml").write_text(text)
    done = techsapo(*words, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert done.stderr


def test_doctor_without_a_spec_looks_for_the_default_stack(tmp_path: Path) -> None:
    done = techsapo("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    value = json.loads(done.stdout)
    assert not value["complete"]
    assert "redis-server" in value["packages"]
    assert {"topic", "name", "level", "detail", "remedy", "package"} == set(value["findings"][0])


def test_doctor_fix_without_root_prints_the_exact_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from techsapo_ops.adapters import host
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output
    from techsapo_ops.cli.watch.doctor import doctor
    from techsapo_ops.errors import OpsError

    spec(tmp_path, free_port())
    monkeypatch.setenv("PATH", "")
    uid = os.getuid() or 1000
    monkeypatch.setattr(host.os, "geteuid", lambda: uid)
    monkeypatch.setattr(sys, "argv", ["/opt/venv/bin/techsapo"])
    with pytest.raises(OpsError, match="needs root") as caught:
        doctor(place=SpecChoice(tmp_path / "techsapo.yaml"), fix=True, out=Output())
    assert (
        caught.value.hint == f"run: sudo /opt/venv/bin/techsapo doctor --fix --file {tmp_path}/techsapo.yaml"
    )
    assert "redis-server" in capsys.readouterr().out
