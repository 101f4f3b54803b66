"""The command table, help and how errors end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from in_process import techsapo
from rows import each_row

from techsapo_ops import __version__
from techsapo_ops.cli.main import COMMANDS


@each_row("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, tmp_path: Path) -> None:
    done = techsapo(tmp_path, name, "--help")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.replace("Usage: techsapo", "")
    assert f"techsapo {name}" in shown, done.stdout


def test_help_lists_every_command_without_importing_one() -> None:
    code = (
        "import sys; sys.argv = ['techsapo', '--help']\n"
        "from techsapo_ops.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('techsapo_ops.spec', 'techsapo_ops.serve', 'fastapi', 'yaml', 'httpx')\n"
        "loaded = [m for m in sys.modules if m.startswith(heavy)]\n"
        "print('LOADED', loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
    for name in COMMANDS:
        assert name in done.stdout


def test_what_is_nothing_is_said_on_stderr_with_what_to_do(tmp_path: Path) -> None:
    for words, code, said in (
        (("halth",), 2, "Did you mean 'health'"),
        (("validate",), 1, "techsapo init"),
        (("logs", "--level", "loud"), 2, "is not one of"),
    ):
        done = techsapo(tmp_path, *words)
        assert (done.returncode, done.stdout) == (code, ""), words
        assert said in done.stderr


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = techsapo(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"techsapo {__version__}\n")


@each_row("command", [("schema",), ("explain", "app")])
def test_a_full_disk_under_the_output_is_an_error_and_a_reader_that_went_away_is_none_worth_a_word(
    command: tuple[str, ...],
) -> None:
    argv = [sys.executable, "-m", "techsapo_ops", *command]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write the output: no space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = subprocess.run(argv, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")
