from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.commands import (
    commands_of,
    dangerous_in,
    destructive,
    destructive_in,
    identity,
)

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
    kinds = [d.kind for d in destructive_in(both)]
    assert kinds == ["remove_files"]
