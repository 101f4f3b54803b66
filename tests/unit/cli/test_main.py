"""The command table, help and how errors end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer
from rows import each_row

from techsapo_ops import __version__
from techsapo_ops.cli.main import COMMANDS


def techsapo(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "techsapo_ops", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


@each_row("name", COMMANDS)
def test_every_entry_of_the_command_table_can_be_imported(name: str) -> None:
    target = COMMANDS[name].load()
    assert isinstance(target, typer.Typer) or callable(target)


@each_row("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = techsapo(name, "--help")
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


def test_a_misspelt_command_suggests_the_nearest_one() -> None:
    done = techsapo("halth")
    assert done.returncode == 2
    assert "Did you mean 'health'" in done.stderr


def test_a_missing_spec_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    done = techsapo("validate", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no spec at techsapo.yaml" in done.stderr
    assert "techsapo init" in done.stderr
    assert done.stdout == ""


def test_wrong_usage_exits_2_but_3_in_health_where_2_means_down(tmp_path: Path) -> None:
    assert techsapo("validate", "--nonsense", cwd=tmp_path).returncode == 2
    assert techsapo("health", "--nonsense", cwd=tmp_path).returncode == 3


def test_a_value_that_an_option_does_not_take_is_told_without_a_word_of_pydantic(tmp_path: Path) -> None:
    done = techsapo("drill", "alert", "--also", "info", cwd=tmp_path)
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 2
    assert "Invalid value for '--also': 'info' is not one of 'warning', 'critical'." in said


def test_the_version_is_printed() -> None:
    done = techsapo("--version")
    assert (done.returncode, done.stdout) == (0, f"techsapo {__version__}\n")


def test_completion_offers_commands() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "techsapo")],
        env={"_TECHSAPO_COMPLETE": "complete_bash", "COMP_WORDS": "techsapo he", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "health" in done.stdout.split()


@each_row("command", [("schema",), ("explain", "app"), ("--version",)])
def test_a_full_disk_under_the_output_is_an_error_like_others(command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "techsapo_ops", *command], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == (
        "error: cannot write the output: no space left on device\ntry: `df -h` shows what is full\n"
    )


@each_row("command", [("schema",), ("explain", "app"), ("--version",)])
def test_a_reader_that_goes_away_is_no_error_worth_a_word(command: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "techsapo_ops", *command], stdout=gone, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (1, "")
