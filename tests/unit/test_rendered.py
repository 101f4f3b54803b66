"""What compares two trees by what they render."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rendered.__main__ import subcommands
from tests.rendered.compare import compare


def test_a_stack_is_rendered_without_a_trace_of_this_machine_and_compared(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    argv = [sys.executable, "-m", "tests.rendered", str(before), "redis-tls-account-mysql-password"]
    subprocess.run(argv, cwd=repository, check=True)
    files = [p for p in before.rglob("*") if p.is_file()]
    written = b"".join(p.read_bytes() for p in files)
    assert b"<home>/bin/redis-server" in written
    assert [p for p in (sys.prefix, str(repository), "techsapo-rendered-") if p.encode() in written] == []
    shutil.copytree(before, after)
    assert compare(before, after) == 0
    (supervisor,) = after.rglob("supervisord.conf")
    supervisor.write_text("changed\n")
    next(after.rglob("redis.conf")).unlink()
    (after / "more.txt").touch()
    assert compare(before, after, diff=True) == 3
    said = capsys.readouterr().out
    assert "+changed" in said
    assert "differs  generated/supervisor/supervisord.conf (1: redis-tls-account-mysql-password/" in said
    assert "new      more.txt" in said
    assert "gone     generated/" in said


def test_what_names_the_package_by_its_content_is_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"before": ("0.2.0+2ad47b0450.9ab617", "a"), "after": ("0.3.0+e495fd60e4.9ab617", "b")}
    for folder, (build, value) in texts.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ps.json").write_text(f'{{"build": "{build}"}}')
        (tmp_path / folder / "openapi.json").write_text(f'{{"first": 1, "second": "{value}"}}')
    assert compare(tmp_path / "before", tmp_path / "after", diff=True) == 1
    assert '- "second": "a"\n+ "second": "b"\n' in capsys.readouterr().out


def test_commands_are_found_in_the_help_and_options_are_not() -> None:
    options = "╭─ Options ───╮\n│ help  -h     │\n╰────────────╯\n"
    commands = "╭─ Stack ─────╮\n│ up     Start. │\n│        More.  │\n│ analyze-logs  │\n"
    assert subcommands(options + commands) == ["up", "analyze-logs"]
