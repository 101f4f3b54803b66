"""The command table, help and how errors end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from in_process import techsapo
from rows import each_row

import techsapo_ops
from techsapo_ops import __version__
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.cli.main import COMMANDS, DAILY, GONE, LOOKING, MOVED


def test_help_imports_no_command() -> None:
    code = (
        "import sys; sys.argv = ['techsapo', '--help']\n"
        "from techsapo_ops.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('techsapo_ops.spec', 'techsapo_ops.serve', 'fastapi', 'yaml', 'httpx')\n"
        "loaded = [name for name, module in sys.modules.items() if module and name.startswith(heavy)]\n"
        "print('LOADED', loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_help_lists_the_commands_for_every_day_and_all_of_them_with_all(tmp_path: Path) -> None:
    def listed(*words: str) -> set[str]:
        page = techsapo(tmp_path, *words).stdout
        return {name for name in COMMANDS if re.search(rf"^│ {name} ", page, re.MULTILINE)}

    assert listed("--help") == listed() == DAILY
    assert (len(DAILY), len(COMMANDS)) == (16, 39), "what is added goes below one that is there"
    assert listed("--help", "--all") == listed("--all", "--help") == set(COMMANDS)


@each_row(
    "typed, meant",
    [("lgos", ["logs"]), ("halth", ["health"]), ("restrat", []), ("rollbak", []), ("dwn", []), ("zzz", [])],
)
def test_a_mistyped_name_is_answered_by_no_command_that_changes_things(
    tmp_path: Path, typed: str, meant: list[str]
) -> None:
    done = techsapo(tmp_path, typed)
    said = " ".join(done.stderr.replace("│", " ").split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f"No such command '{typed}'." in said
    assert re.findall(r"'(\w+)'[,?]", said.partition("Did you mean")[2]) == meant


@each_row("old", MOVED)
def test_an_old_spelling_is_answered_with_the_present_one_in_both_languages(tmp_path: Path, old: str) -> None:
    for language, said in (("en", "is now"), ("ja", "になりました")):
        done = techsapo(tmp_path, "--lang", language, *old.split(), "anything")
        assert (done.returncode, done.stdout) == (2, "")
        first = done.stderr.splitlines()[0]
        assert f"`techsapo {old}` " in first
        assert f"`techsapo {MOVED[old]}`" in first
        assert said in first


@each_row("old", GONE)
def test_what_went_is_answered_with_what_to_do_instead(tmp_path: Path, old: str) -> None:
    for language in ("en", "ja"):
        done = techsapo(tmp_path, "--lang", language, *old.split(), "anything")
        assert (done.returncode, done.stdout) == (2, "")
        first, hint = done.stderr.splitlines()
        assert f"`techsapo {old}`" in first
        assert (GONE[old] in hint) == (language == "en")


@each_row(
    "words, lacking",
    [
        (["doctor", "--bundle", "-y"], "--bundle"),
        (["doctor", "--bundle", "--help"], "--bundle"),
        (["plan", "--out", "--diff"], "--out"),
        (["alerts", "ack", "AppDown", "--by", "--undo"], "--by"),
    ],
)
def test_an_option_is_not_taken_for_the_value_of_another(
    tmp_path: Path, words: list[str], lacking: str
) -> None:
    done = techsapo(tmp_path, *words)
    said = " ".join(done.stderr.replace("│", " ").split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Option '{lacking}' requires an argument." in said
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_only_looks_is_none_that_changes_the_stack() -> None:
    assert set(COMMANDS) >= LOOKING
    cases = read_yaml((Path(__file__).parents[2] / "cases" / "every_command.yaml").read_text("utf-8"))
    assert not LOOKING & {case["command"] for case in cases if case.get("changes")}


COMPLETED = [
    ("techsapo res", 1, {"restart", "restore"}),
    ("techsapo backup li", 2, {"list"}),
    ("techsapo up --dry", 2, {"--dry-run"}),
    ("techsapo alerts runbook AppDo", 3, {"AppDown"}),
    ("techsapo restart --file other.yaml red", 4, {"redis", "redis-exporter"}),
    ("techsapo restore ", 2, {"latest"}),
    ("techsapo certs renew w", 3, {"web"}),
    ("techsapo restart --file missing.yaml red", 4, set()),
]


@each_row("line, word, offered", COMPLETED)
def test_a_shell_completes_commands_options_and_names(
    tmp_path: Path, line: str, word: int, offered: set[str]
) -> None:
    spec = "project: lab\ncertificates: {web: {source: self-signed, names: [a.example]}}\n"
    (tmp_path / "techsapo.yaml").write_text(spec)
    (tmp_path / "other.yaml").write_text(spec)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("redis-server", "prometheus-redis-exporter"):  # of what a host lacks nothing is offered
        (programs / name).touch(0o755)
    shell = {
        "_TECHSAPO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(word),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from techsapo_ops.cli.main import main; main()"],
        cwd=tmp_path, env={**os.environ, **shell}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == offered


def test_one_file_alone_uses_what_typer_does_not_promise() -> None:
    private = re.compile(
        r"^\s*(?:from|import) typer\.(?:_|core|rich_utils)|^\s*from typer import rich_utils", re.MULTILINE
    )
    package = Path(techsapo_ops.__file__).parent
    using = {path.name for path in package.rglob("*.py") if private.search(path.read_text(encoding="utf-8"))}
    assert using == {"typer_base.py"}


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = techsapo(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"techsapo {__version__}\n")


@each_row("command", [("config", "schema"), ("config", "explain", "app")])
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
