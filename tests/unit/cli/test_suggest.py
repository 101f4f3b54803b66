"""What is suggested to whoever typed a command or an option that there is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from in_process import techsapo
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.cli import suggest
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.cli.suggest import LOOKS, MEANT

TABLES = Path(__file__).parents[2] / "cases"
CASES = read_yaml((TABLES / "suggestions.yaml").read_text(encoding="utf-8"))
MISTYPED = [case for case in CASES["commands"] if case["typed"][0] not in COMMANDS or case["typed"][1:]]
EVERY = read_yaml((TABLES / "every_command.yaml").read_text(encoding="utf-8"))


def told(*words: str) -> tuple[int, str]:
    """The exit code, and what stands in Typer's box, on one line."""
    done = techsapo(TABLES, *words)
    return done.returncode, " ".join(done.stderr.replace("│", " ").split())


@each_row("case", MISTYPED, ids=lambda case: " ".join(case["typed"]))
def test_a_command_is_suggested_by_meaning_and_none_that_changes_things_by_likeness(
    case: dict[str, Any],
) -> None:
    code, said = told(*case["typed"])
    assert code == 2
    assert f"No such command '{case['typed'][-1]}'." in said
    found = re.findall(r"'([^']+)'[,?]", said.partition("Did you mean")[2])
    in_a_group = case["typed"][1:]
    assert [name for name in found if in_a_group or name not in COMING] == case["meant"]


@each_row("case", CASES["options"], ids=lambda case: " ".join(case["typed"]))
def test_an_option_is_suggested_but_none_that_changes_things(case: dict[str, Any]) -> None:
    code, said = told(*case["typed"])
    assert code == 2
    assert f"No such option: {case['typed'][1]}" in said
    found = re.search(r"\(Possible options: ([^)]*)\)", said)
    assert (found[1].split(", ") if found else []) == case["meant"]


@each_row("command", ["up", "plan", "recover"])
def test_an_engine_that_an_option_can_not_choose_is_chosen_in_the_spec(command: str) -> None:
    code, said = told(command, "--engine", "swarm")
    assert code == 2
    assert "swarm is chosen in the spec, by `engine` and `hosts`: see docs/three-machines.md" in said


def leaves() -> set[str]:
    """Every name of a command, and of a command in a group."""
    found = set(COMMANDS)
    for entry in COMMANDS.values():
        target = entry.load()
        if isinstance(target, typer.Typer):
            group: Any = typer.main.get_command(target)
            found |= set(group.commands)
    return found


COMING = {"status", "start", "stop", "open", "exec", "alerts show"}
"""Commands that are suggested where there are any."""


def test_the_tables_name_what_there_is() -> None:
    names = leaves()
    assert {name for meant in MEANT.values() for name in meant if name} <= names | COMING
    changing = {case["command"] for case in EVERY if case.get("changes")}
    assert not LOOKS & changing
    assert {name.rpartition(" ")[2] for name in LOOKS} <= names | COMING | {"show"}


def test_an_option_that_help_does_not_tell_of_is_not_suggested_and_no_more_than_three_commands_are() -> None:
    class Option:
        def __init__(self, *opts: str, hidden: bool) -> None:
            self.opts, self.hidden = opts, hidden

    assert suggest.options("--config", [Option("--file", hidden=False)], []) == ["--file"]
    assert suggest.options("--config", [Option("--file", hidden=True)], []) == []
    every = ["show", "list", "status", "config", "ps"]
    assert suggest.commands("show", "", every, itself=False) == ["show", "list", "status"]
