"""The command line in Japanese: each door of what it says, by --lang, TECHSAPO_LANG and the terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from rows import each_row

from techsapo_ops.cli import language
from techsapo_ops.cli.main import main
from techsapo_ops.cli.output import Output, print_error
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

KANA = re.compile("[\u3040-\u30ff]")


class Done(NamedTuple):
    """What a command said, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def techsapo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """`techsapo WORDS` in an empty folder, with the environment that is given, not this terminal's."""

    def run(*words: str, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            for name in os.environ:
                if name.startswith(("LC_", "LANG", "TECHSAPO_")):
                    patch.delenv(name)
            for name, value in {"COLUMNS": "100", **environment}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["techsapo", *words])
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    yield run
    language.speak("en")


@pytest.fixture
def japanese() -> Iterator[None]:
    language.speak("ja")
    yield
    language.speak("en")


@each_row(
    "environment, spoken",
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja"}, "ja"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": ""}, "ja"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "TECHSAPO_LANG": "en"}, "en"),
        ({"LANG": "C", "TECHSAPO_LANG": "ja"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "TECHSAPO_LANG": "klingon"}, "ja"),
    ],
)
def test_the_language_of_an_environment(environment: dict[str, str], spoken: str) -> None:
    assert language.language_of(environment) == spoken


def test_an_error_and_its_hint(japanese: None, capsys: pytest.CaptureFixture[str]) -> None:
    what = msg("cannot read {log}: {strerror}", log="{x}", strerror="a{b} %s")
    print_error(OpsError(what, msg("--until: {given} is in the past", given=7)))
    told = "エラー: {x} を読めません：a{b} %s\nヒント: --until：7 はすでに過ぎています\n"
    assert capsys.readouterr().err == told


def test_what_has_no_translation_is_said_in_english(
    japanese: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Output().warn(msg("no catalogue has {this}", this="this"))
    assert capsys.readouterr().err == "警告: no catalogue has this\n"


def test_json_is_the_same_in_every_language(japanese: None, capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).json({"error": msg("leave {given} out", given="x")})
    assert json.loads(capsys.readouterr().out) == {"error": "leave x out"}


def test_a_terminal_that_has_no_japanese_gets_english(monkeypatch: pytest.MonkeyPatch) -> None:
    class Latin:
        encoding = "iso-8859-1"

    monkeypatch.setattr(sys, "stdout", Latin())
    language.speak("ja")
    assert language.spoken_language() == "en"


@each_row(
    "words",
    [
        ("validate", "--lang", "ja"),
        ("--lang=ja", "validate"),
        ("--lang", "en", "validate", "--lang", "ja"),
        ("--lang=ja", "{name} [red]x"),
    ],
)
def test_the_option_stands_before_and_after_the_command(techsapo: Run, words: tuple[str, ...]) -> None:
    done = techsapo(*words)
    if words[1].startswith("{"):
        assert "{name} [red]x" in done.stderr, "what is typed is never a template or markup"
    else:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("エラー: ")
    assert KANA.search(done.stderr)


def test_the_option_wins_and_c_is_english(techsapo: Run) -> None:
    for environment in ({"LANG": "C"}, {"LANG": "C", "LC_ALL": "POSIX"}, {}):
        assert techsapo("validate", **environment).stderr.startswith("error: there is no ")
    assert techsapo("validate", "--lang", "en", TECHSAPO_LANG="ja").stderr.startswith("error: ")
    assert techsapo("validate", LANG="ja_JP.UTF-8").stderr.startswith("エラー: ")


def test_the_spec_never_decides(tmp_path: Path, techsapo: Run) -> None:
    for locale in ("ja", "en"):
        (tmp_path / "techsapo.yaml").write_text(f"project: techsapo\nlocale: {locale}\nport: 1\nports: 2\n")
        assert techsapo("validate").stderr.endswith("\n2 problems\n")
        assert techsapo("validate", LANG="ja_JP.UTF-8").stderr.endswith("\n2 件の問題\n")


@each_row("words", [("--help",), ("backup", "list", "--help")])
def test_a_help_page(techsapo: Run, words: tuple[str, ...]) -> None:
    page = techsapo(*words, TECHSAPO_LANG="ja")
    assert (page.returncode, page.stderr) == (0, "")
    assert "使い方: techsapo" in page.stdout
    assert "Usage" not in page.stdout
    assert KANA.search(techsapo(*words, "--lang", "ja").stdout)
    english = techsapo(*words).stdout
    assert not KANA.search(english)
    for command in re.findall(r"^  +techsapo .*$", english, re.MULTILINE):
        assert command.strip() in page.stdout


@each_row(
    "words, english",
    [
        (("ps", "--nope"), "No such option: --nope"),
        (("backup", "frobnicate"), "No such command 'frobnicate'"),
        (("ps", "--lang", "fr"), "'fr' is not one of"),
        (("logs", "--lines", "many"), "valid integer"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_what_was_typed(
    techsapo: Run, words: tuple[str, ...], english: str
) -> None:
    told = techsapo(*words)
    assert told.returncode == 2
    assert english in " ".join(told.stderr.split())
    done = techsapo(*words, TECHSAPO_LANG="ja")
    assert (done.returncode, done.stdout) == (2, "")
    assert "─ エラー ─" in done.stderr
    assert english in " ".join(done.stderr.split()), "Typer's sentences are English in every language"
