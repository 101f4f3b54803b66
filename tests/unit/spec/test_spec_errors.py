"""Every refused spec of tests/cases/spec/errors.yaml: the places, and what a user needs of the words."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.load import LoadedSpec, SpecError, load

CASES = read_yaml((Path(__file__).parents[2] / "cases/spec/errors.yaml").read_text(encoding="utf-8"))

Loader = Callable[..., LoadedSpec]


@each_row("case", CASES, ids=[case["name"] for case in CASES])
def test_a_wrong_spec_is_told_with_each_place_and_what_to_do(case: dict[str, Any], loaded: Loader) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(case["spec"], **{name: case.get(name) for name in ("env", "files", "environment")})
    problems = caught.value.problems
    places = [f"{p.line}:{p.column} {p.path}".rstrip() for p in problems]
    wanted = [told.split(" | ", 1) for told in case["told"]]
    assert places == [place for place, _ in wanted]
    for problem, (place, words) in zip(problems, wanted, strict=True):
        assert words in f"{problem.message}; {problem.hint}", place
    assert caught.value.message.splitlines() == [str(problem) for problem in problems]
    assert "never" not in case or case["never"] not in caught.value.message
    assert caught.value.exit_code == case.get("exit_code", 1)


def test_an_error_names_the_file_that_was_loaded() -> None:
    with pytest.raises(SpecError) as caught:
        load("project: 5\n", {}, str, filename="/etc/techsapo/本番.yaml")
    (problem,) = caught.value.problems
    told = f"/etc/techsapo/本番.yaml:1:10 project: {problem.message}; {problem.hint}"
    assert caught.value.message == told


def test_a_byte_order_mark_is_skipped(loaded: Loader) -> None:
    assert loaded("\ufeffproject: x\n").spec.project == "x"


def test_a_file_larger_than_a_megabyte_is_refused_unread(loaded: Loader) -> None:
    with pytest.raises(SpecError, match="larger than 1 MB"):
        loaded("# " + "x" * (1 << 20))


WIDE = "a: &a0 [x]\n" + "".join(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 60))
DEEP = "a: &a0 [x]\n" + "".join(f"b{i}: &a{i} [[*a{i - 1}]]\n" for i in range(1, 500))


@each_row(
    "bomb",
    [
        pytest.param("[" * 100_000, id="lists"),
        pytest.param("{a: " * 100_000, id="mappings"),
        pytest.param("- " * 100_000, id="entries"),
        pytest.param(WIDE, id="wide aliases"),
        pytest.param(DEEP, id="deep aliases"),
        pytest.param("project: " + "9" * 100_000, id="digits"),
        pytest.param("project: 0x" + "f" * 100_000, id="hexadecimal"),
        pytest.param("a: 1e" + "9" * 1000, id="exponent"),
        pytest.param("redis: {port: " + "1" * 300 + ".0e+308}", id="huge"),
    ],
)
def test_a_hostile_text_is_refused_and_does_no_harm(bomb: str, loaded: Loader) -> None:
    with pytest.raises(SpecError):
        loaded(bomb)


@each_row(
    "error, told",
    [
        (OpsError("f is open to everybody", "chmod 600 it"), r"f is open to everybody; chmod 600 it"),
        (PermissionError(errno.EACCES, "Permission denied"),
         "cannot read f: Permission denied; only the file's owner can read the file: "
         "run the command as that user, or as root"),
        (FileNotFoundError(errno.ENOENT, "No such file"),
         r"cannot read f: No such file; create the file, readable only by you \(chmod 600\)"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "f is not a UTF-8 text file"),
    ],
)  # fmt: skip
def test_a_secret_file_that_is_not_read_is_told_with_what_helps(error: Exception, told: str) -> None:
    def refuse(path: str) -> str:
        raise error

    with pytest.raises(SpecError, match=rf"redis.password_file: {told}"):
        load("project: x\nredis: {password_file: f}\n", {}, refuse)


@each_row("breaks", ["\\r", "\\u2028", "\\n", "\\e[2J"])
def test_a_key_that_is_given_twice_stays_on_one_line_whatever_it_holds(loaded: Loader, breaks: str) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(f'project: x\n"a{breaks}": 1\n"a{breaks}": 2\n? {{"b{breaks}": [], ? [] : 1}}\n')
    assert len(caught.value.message.splitlines()) == len(caught.value.problems)
    assert "\x1b" not in caught.value.message


def test_a_message_stays_on_one_line_whatever_a_key_holds(loaded: Loader) -> None:
    with pytest.raises(SpecError) as caught:
        loaded('project: x\nmonitoring: {alerts: {"a\\nb": {}}}\n"c\\nd": 1\nimages: {"\\e[31m": x}\n')
    assert len(caught.value.problems) == 3
    assert len(caught.value.message.splitlines()) == 3
    assert "\x1b" not in caught.value.message
