"""What compares two trees by what they render."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.rendered.__main__ import subcommands
from tests.rendered.compare import compare


def test_what_differs_is_new_or_is_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for name in ("generated/redis.conf", "generated/supervisord.conf"):
        (before / "stack" / name).parent.mkdir(parents=True, exist_ok=True)
        (before / "stack" / name).write_text("as it was\n")
    shutil.copytree(before, after)
    assert compare(before, after) == 0
    (after / "stack/generated/supervisord.conf").write_text("changed\n")
    (after / "stack/generated/redis.conf").unlink()
    (after / "more.txt").touch()
    assert compare(before, after, diff=True) == 3
    said = capsys.readouterr().out
    assert "+changed" in said
    assert "differs  stack/generated/supervisord.conf" in said
    assert "new      more.txt" in said
    assert "gone     stack/generated/redis.conf" in said


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
    commands = "╭─ Stack ─────╮\n│ up     Start. │\n│        More.  │\n│ install-cron  │\n"
    assert subcommands(options + commands) == ["up", "install-cron"]
