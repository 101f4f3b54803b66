from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from techsapo_ops.catalogue.commands import Effect
from techsapo_ops.wallbounce.classifier.lines import classify

HELD_OUT = yaml.safe_load(
    (Path(__file__).parents[2] / "cases" / "commands_heldout.yaml").read_text(encoding="utf-8")
)
CASES = yaml.safe_load((Path(__file__).parents[2] / "cases" / "commands.yaml").read_text(encoding="utf-8"))
EVASIVE = yaml.safe_load(
    (Path(__file__).parents[2] / "cases" / "commands_evasive.yaml").read_text(encoding="utf-8")
)
COMMANDS = [case["command"] for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["command"])
def test_a_command_does_what_its_label_says(case: dict[str, Any]) -> None:
    assert classify(case["command"]).effect == case["label"]


def test_of_the_commands_of_somebody_else_none_is_wrongly_safe_and_each_danger_is_marked() -> None:
    labels = {case["command"]: case["kind"].replace("-", "_") for case in HELD_OUT}
    judged = {command: classify(command) for command in labels}
    reading = [c for c, label in labels.items() if label == "reads_only"]
    assert not [c for c, j in judged.items() if j.effect is Effect.READS_ONLY and labels[c] != "reads_only"]
    assert sum(judged[c].effect is Effect.READS_ONLY for c in reading) >= 0.9 * len(reading)
    dangers = [c for c, label in labels.items() if label not in ("reads_only", "unknown")]
    assert not [c for c in dangers if labels[c] not in judged[c].effects]


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("mysql shop <<'X'\nDROP TABLE a;\nX", "destructive"),
        ("mysql shop <<'X'\nSELECT 1;\nX", "unknown"),
        ("cat <<'X' | wc -l\na; b\nX", "reads_only"),
        ("cat <<X\n$(reboot)\nX", "stops_a_service"),
        ("cat <<'X' > /etc/hosts\na\nX", "destructive"),
        ("cat <<'X'\na\nX\nrm -rf /", "destructive"),
        ("cat <<'X'\na\n", "unknown"),
        ("gawk '{ \"reboot\" | getline }' f", "stops_a_service"),
        ("perl -e 'system(\"rm -rf /srv\")'", "destructive"),
        ("sort f -o /etc/hosts", "destructive"),
        ("curl -s https://x -o /etc/cron.d/x", "destructive"),
        ("ssh -o LocalCommand='rm -rf /x' h uptime", "destructive"),
        ("echo cmVib290 | base64 -d | sh", "runs_remote_code stops_a_service"),
        ("cut -f1 a.txt > a.txt", "destructive"),
        ("kubectl apply -f x.yaml --dry-run=client", "reads_only"),
        ("kubectl apply -f x.yaml --dry-run=none", "unknown"),
        ("rsync -an --delete a/ b/", "reads_only"),
        ("rsync -an -e 'sh -c id' a/ b/", "unknown"),
        ("git clean -nd", "reads_only"),
        ("git clean -ndf", "destructive"),
        ("kill -0 42", "reads_only"),
        ("kill $x -0", "unknown"),
        ("EXPLAIN UPDATE t SET a = 1", "reads_only"),
        ("EXPLAIN UPDATE t SET a = setval('s', 1)", "unknown"),
        ("SELECT a AS b FROM t WHERE c <> 'x' ORDER BY b", "reads_only"),
    ],
)
def test_what_the_commands_of_somebody_else_showed_holds_for_their_like(command: str, effects: str) -> None:
    found = classify(command).effects
    assert set(effects.split()) <= {str(e) for e in found}
    assert found[0] == effects.split()[0] or len(effects.split()) > 1


@pytest.mark.parametrize("command", EVASIVE)
def test_no_command_that_only_looks_like_reading_is_called_safe(command: str) -> None:
    assert classify(command).effect is not Effect.READS_ONLY


@pytest.mark.parametrize(
    "behind",
    [
        "; rm -rf /",
        " && reboot",
        " | sudo sh",
        "\nrm -rf /",
        " > /etc/passwd",
        " $(reboot)",
        " `reboot`",
        " & reboot",
    ],
)
@pytest.mark.parametrize("command", [c["command"] for c in CASES if c["label"] == "reads_only"])
def test_nothing_that_is_appended_to_a_reading_command_is_called_safe(command: str, behind: str) -> None:
    assert classify(command + behind).effect is not Effect.READS_ONLY


@pytest.mark.parametrize(
    "inside",
    [
        "sudo {}",
        "env A=b {}",
        "timeout 5 {}",
        "nice -n 5 {}",
        "sudo -u app env {}",
        "ssh host {}",
        "docker exec -i c {}",
        "kubectl exec p -- {}",
        "bash -c '{}'",
        "su - app -c '{}'",
        "eval '{}'",
        "watch '{}'",
        "echo $({})",
        "xargs {}",
        "find . -exec {} \\;",
        "if true; then {}; fi",
        "f() {{ {}; }}; f",
        "cat <({})",
        "{} 2>&1 | tee x",
        "(cd /; {})",
        "bash <<'X'\n{}\nX",
        "true && {} &",
        "nohup {} &",
        "sudo --weird-option {}",
        "＄ {}",
        "# {}",
        "root@db:~# {}",
    ],
)
def test_what_destroys_is_found_within_every_command_that_runs_others(inside: str) -> None:
    judged = classify(inside.format("rm -rf /srv"))
    assert Effect.DESTRUCTIVE in judged.effects, judged


@pytest.mark.parametrize(
    "inside",
    [
        "sudo {}",
        "env LANG=C {}",
        "timeout 5 {}",
        "nice -n 5 {}",
        "ssh -p 22 host {}",
        "docker exec -i c {}",
        "$ {}",
        "kubectl exec p -- {}",
        "bash -c '{}'",
        "su - app -c '{}'",
        "eval '{}'",
        "watch '{}'",
        "{} 2>&1",
        "{} >/dev/null",
    ],
)
def test_what_reads_still_reads_within_what_runs_it(inside: str) -> None:
    assert classify(inside.format("df -h /srv")).effect is Effect.READS_ONLY


def test_variables_that_let_a_command_do_more_than_it_says_are_not_safe() -> None:
    for name in (
        "LD_PRELOAD",
        "PAGER",
        "GIT_PAGER",
        "GIT_SSH_COMMAND",
        "LESSOPEN",
        "PATH",
        "BASH_ENV",
        "MANPAGER",
    ):
        assert classify(f"{name}=x git log").effect is Effect.UNKNOWN
        assert classify(f"sudo {name}=x git log").effect is Effect.UNKNOWN
        assert classify(f"export {name}=x; git log").effect is Effect.UNKNOWN


def test_a_comment_is_safe_only_where_no_shell_can_take_it_for_more() -> None:
    assert classify("df -h # how full is it").effect is Effect.READS_ONLY
    assert classify("df -h\n# systemctl stop nginx").effect is not Effect.READS_ONLY
    assert classify("df ＃; rm -rf /").effect is Effect.DESTRUCTIVE


HOSTILE = (
    "(",
    "$(",
    "`",
    "'",
    '"',
    "{",
    "[[",
    "<<A ",
    "<(",
    "((",
    "if ",
    "a|",
    "a;",
    "a&&",
    "sudo ",
    "select (",
    "\\",
    "\x00",
    "\ud800",
    "－",
    "case x in ",
    "$((",
    "${a:",
    "<<<",
    "a=",
    "# ",
    "for ",
    "1,",
    "with a as (",
    "-- ",
    "/*",
    "select 1;",
    "env ",
    "sh -c ",
    "ssh h ",
    "!",
    "!!",
    "{a,",
    "x() { ",
    "\r",
    "\u3000",
    "'' ",
    "a\\\n",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_is_unknown_in_bounded_time(piece: str) -> None:
    began = time.process_time()
    for length in (10, 500, 3_999, 100_000):
        assert classify((piece * length)[:length]).effect is not Effect.READS_ONLY
    assert time.process_time() - began < 10  # a guard against quadratic work


ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
SHELLISH = st.lists(
    st.sampled_from(
        [*COMMANDS, *HOSTILE, " ", "\n", ";", "|", "&&", "df", "-h", "cat", "x", "EOF", "awk", "sed", "find"]
    ),
    max_size=8,
).map("".join)


@settings(max_examples=examples(400), deadline=None)
@given(st.one_of(ANY_TEXT, SHELLISH))
def test_no_text_raises_and_none_is_safe_with_a_danger_behind_it(text: str) -> None:
    assert classify(text).effects
    for behind in ("; rm -rf /", "\nrm -rf /", " && reboot"):
        assert classify(text + behind).effect is not Effect.READS_ONLY


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from([c["command"] for c in CASES if c["label"] not in ("reads_only", "unknown")]),
    st.sampled_from(COMMANDS),
)
def test_a_danger_stays_one_in_front_of_any_other_command(danger: str, other: str) -> None:
    assert classify(f"{danger}\n{other}").effect is not Effect.READS_ONLY


def test_no_parser_is_imported_before_a_command_is_looked_at() -> None:
    code = (
        "import sys, techsapo_ops.serve.app\n"
        "from techsapo_ops.wallbounce.commands import dangerous, read_table\n"
        "read_table(); dangerous('no command'); print({'tree_sitter', 'sqlglot'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_of_commands_that_nothing_was_tuned_on_none_is_wrongly_safe_and_most_reading_ones_are_known() -> None:
    """Of a second author, measured and never tuned on: what can be expected of new commands."""
    file = Path(__file__).parents[2] / "cases" / "commands_heldout_2.yaml"
    cases = yaml.safe_load(file.read_text(encoding="utf-8"))
    safe = {case["command"] for case in cases if classify(case["command"]).effect is Effect.READS_ONLY}
    reading = {case["command"] for case in cases if case["kind"] == "reads-only"}
    dangers = [case for case in cases if case["kind"] not in ("reads-only", "unknown")]
    assert (len(cases), len(reading), len(dangers)) == (100, 50, 43)
    assert safe <= reading
    assert len(safe) >= 35
    marked = [c for c in dangers if c["kind"].replace("-", "_") in classify(c["command"]).effects]
    assert len(marked) >= 37
