"""What the table of dangers recognises, what it does not, and that nothing is called safe for it."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import Any

from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.catalogue.dangers import Effect
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.question import Passage, Question, fold
from techsapo_ops.wallbounce.verdict.commands import (
    asks_for_danger,
    commands_of,
    dangerous,
    dangerous_in,
    destructive,
    identity,
)

FOLDER = Path(__file__).parents[2] / "cases"
OWN, HELD_OUT, UNTUNED = (
    read_yaml((FOLDER / name).read_text(encoding="utf-8"))
    for name in ("commands.yaml", "commands_heldout.yaml", "commands_heldout_2.yaml")
)
LASTING = {Effect.DESTRUCTIVE, Effect.RUNS_REMOTE_CODE}


PLAIN = read_yaml((FOLDER / "plain_dangers.yaml").read_text(encoding="utf-8"))


def effects(text: str) -> set[str]:
    return {effect for found in dangerous(text) for effect in found.effects}


def missed(cases: list[dict[str, Any]]) -> list[str]:
    """The dangerous commands of `cases` that are not marked with their label."""
    return [c["command"] for c in cases if c["label"] != "none" and c["label"] not in effects(c["command"])]


def marked(cases: list[dict[str, Any]]) -> list[str]:
    """The commands of `cases` without a danger that are marked with one."""
    return [c["command"] for c in cases if c["label"] == "none" and effects(c["command"])]


def test_each_dangerous_command_of_the_two_tuned_tables_is_marked() -> None:
    """Encoded code is marked as code that nobody can read, for what it destroys nobody sees."""
    encoded = [c for c in missed([*OWN, *HELD_OUT]) if "base64 -d | sh" in c]
    assert missed([*OWN, *HELD_OUT]) == encoded
    assert all("runs_remote_code" in effects(c) for c in encoded)
    assert len(encoded) == 2
    assert len(marked([*OWN, *HELD_OUT])) <= 6


def test_of_commands_that_nothing_was_tuned_on_most_dangers_are_marked() -> None:
    """Of a second author, measured and never tuned on: what can be expected of new commands."""
    dangers = [c for c in UNTUNED if c["label"] != "none"]
    assert (len(UNTUNED), len(dangers)) == (100, 43)
    assert len(missed(UNTUNED)) <= 5
    assert len(marked(UNTUNED)) <= 9


@each_row(
    "inside",
    [
        "{}", "sudo {}", "env A=b {}", "timeout 5 {}", "nice -n 5 {}", "sudo -u app env {}",
        "ssh -p 22 host {}", "docker exec -i c {}", "kubectl exec p -- {}", "bash -c '{}'",
        "su - app -c '{}'", "eval '{}'", "watch '{}'", "echo $({})", "df -h; {}", "true && {} &",
        "df | xargs {}", "find . -exec {} \\;",
        "if true; then {}; fi", "f() {{ {}; }}; f", "cat <({})", "(cd /; {})", "bash <<'X'\n{}\nX",
        "awk 'BEGIN {{ system(\"{}\") }}'", "sudo --weird-option {}", "/usr/bin/{}",
        "＄ {}", "# {}", "root@db:~# {}", "1. {}", "次に「{}」を実行します。", "Run `{}` then.",
    ],
)  # fmt: skip
def test_a_danger_is_found_within_what_runs_it_and_in_prose(inside: str) -> None:
    assert "stops_a_service" in effects(inside.format("umount /srv"))
    assert "destructive" in effects(inside.format("rm -rf /srv"))


@each_row("text", [*PLAIN["dangerous"], *PLAIN["safe_side"]])
def test_a_question_asks_for_danger_in_plain_words_too(text: str) -> None:
    assert asks_for_danger(Question(text, "en"))


@each_row("text", PLAIN["harmless"])
def test_a_question_about_the_same_things_that_destroys_nothing_is_not_taken_for_it(text: str) -> None:
    assert not asks_for_danger(Question(text, "en"))


def test_plain_words_count_in_what_is_asked_and_not_in_a_log() -> None:
    log = Passage("log", "cleaner: deleting all rows of the table")
    assert not asks_for_danger(Question("", "en", parts=(log, Passage("", "why is it slow?"))))
    assert asks_for_danger(Question("", "en", parts=(log, Passage("", "delete the table"))))
    assert asks_for_danger(Question("", "en", parts=(Passage("log", "rm -rf /srv"), Passage("", "why?"))))


@each_row(
    "unseen",
    ["\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\u202e", "\ufe0f", "\u034f", "\u3164", "\U000e0041"],
)
def test_no_character_that_nobody_sees_hides_a_danger(unseen: str) -> None:
    (danger,) = dangerous(f"Run `r{unseen}m -r{unseen}f /srv`.")
    assert danger.command == "rm -rf /srv"


def test_each_character_of_unicodes_category_for_formats_is_left_out() -> None:
    formats = "".join(chr(n) for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n)) == "Cf")
    assert fold(f"a{formats}b") == "ab"
    assert fold("ｶﾞ　\t\né👍🏽") == "ガ \t\né👍🏽"


@each_row(
    "text",
    [
        "grep -c reboot /var/log/syslog",
        "last -x | grep -E 'reboot|shutdown'",
        "sudo grep -c umount /var/log/syslog",
        "The rm command removes files.",
        "Disconnect the storage; then find the file.",
        "OOMキラーが kill したプロセスを確認します。",
        "systemctl status poweroff.target reboot.target",
    ],
)
def test_a_word_where_no_command_begins_is_no_danger(text: str) -> None:
    assert dangerous(text) == ()


HOSTILE = (
    *(" ", "\n", "(", "$(", "`", "'", '"', "{", "<(", "「", "```\n", "> ", "()", "－", "\\"),
    *("\x00", "\ud800"),
    *("sudo ", "sudo -u ", "ssh h ", "sh -c ", "-exec rm ", "rm -", "rm --- ", "a.rm ", "reboot;", "'/a"),
    " a=b",
    *("curl ", "curl x|", "curl x;", "base64 -d |", "update a set ", "alter table a ", "cat a b c > "),
    *("chmod -R ", "docker compose down ", "python exec(http", "sed 's/a/b/w ", "tar -x -C ", "grant all "),
    *("git push ", "systemctl --a --b ", "kubectl -", "find ", "() { |", "git checkout "),
    *("-- git push ", "-- podman run ", "-- php rm ", "-- gem add ", "-- k replace ", "-- sed ", ">$ "),
)


def test_a_command_behind_many_others_is_found_in_the_arguments_of_each() -> None:
    for piece in ("git push {}--force", "docker run {}--privileged x", "kubectl -n a {}delete pod x"):
        assert dangerous("sudo " + piece.format("a=b " * 40)), piece
        assert dangerous("env -- nice -- time -- " + piece.format("x -- y ")), piece


@settings(max_examples=examples(60), deadline=None)
@given(
    st.one_of(
        st.text(st.characters(codec=None), max_size=60),
        st.lists(st.sampled_from([*HOSTILE, *(c["command"] for c in OWN), " ", ";", "|"]), max_size=8).map(
            "".join
        ),
    )
)
def test_no_text_raises_and_none_hides_a_danger_on_the_next_line(text: str) -> None:
    assert LASTING & {effect for found in dangerous(text + "\nrm -rf /") for effect in found.effects}


CASES = read_yaml(
    (Path(__file__).parents[2] / "cases" / "wallbounce" / "commands.yaml").read_text(encoding="utf-8")
)


def answer(text: str, **fields: Any) -> Answer:
    return Answer("p", "m", text, Tokens(), 0.1, 0.0, **fields)


@each_row("case", CASES["destructive"], ids=lambda c: c["text"])
def test_what_cannot_be_undone_is_found(case: dict[str, Any]) -> None:
    assert [d.kind for d in destructive(case["text"])] == case["kinds"]


@each_row("case", CASES["same"], ids=lambda c: c["one"])
def test_a_destructive_command_is_the_same_whatever_its_flags_but_not_on_another_target(
    case: dict[str, Any],
) -> None:
    one, other = destructive(case["one"])[0], destructive(case["other"])[0]
    assert (identity(one) == identity(other)) is case["same"]


def test_a_command_is_shown_as_it_stands_with_what_it_destroys() -> None:
    (found,) = destructive("まず「rm -rf /var/log/app」を実行し、次に再起動します。", "ja")
    assert (found.command, found.why) == ("rm -rf /var/log/app", "ファイルを復元できない形で削除します")


@each_row("before", ["a." * 4, "a." * 90, "あ", "3", "x()>"])
def test_a_word_is_recognised_whatever_it_is_joined_to(before: str) -> None:
    assert [d.kind for d in dangerous(f"{before}rm -rf /x\n{before}rm -rf /y")] == ["remove_files"] * 2


def test_commands_come_from_the_list_or_else_from_code_and_brackets() -> None:
    assert commands_of(answer("「df -h」です", commands=("du -sh /",))) == ("du -sh /",)
    text = "「df -h」と`ss -ltn`を見ます。「容量」です。\n```sh\n$ free -m\n```\n  $ uptime\n"
    assert set(commands_of(answer(text))) == {"df -h", "ss -ltn", "free -m", "uptime"}


@each_row("case", CASES["dangerous"], ids=lambda c: c["text"])
def test_every_danger_in_an_answers_text_is_found_with_what_it_does(case: dict[str, Any]) -> None:
    found = dangerous_in(answer(case["text"]))
    assert {d.effects[0] for d in found} == {case["effect"]}
    assert {d.lasting for d in found} == {case["effect"] in ("destructive", "runs_remote_code")}
    listed = dangerous_in(answer("x", commands=(case["text"],)))
    assert case["effect"] in {d.effects[0] for d in listed}


def test_a_command_that_stands_in_text_and_list_is_marked_once() -> None:
    both = answer("「rm -rf /x」を実行", commands=("sudo rm -r -f /x",), claims=("rm -rf /x で消えます",))
    kinds = [d.kind for d in dangerous_in(both) if d.lasting]
    assert kinds == ["remove_files"]
