"""Test files: each is collected by a name of its own, and no lab gives up on a server too soon."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rows import each_row

TESTS = Path(__file__).parents[1]
_MAYBE = re.compile(r"wait_for\((?:[^\n]*\n){0,9}[^\n]*\btimeout=[1-5]?\d\b")
"""Not every lab has to be parsed."""


def twice(folder: Path) -> list[str]:
    """Names that several test files below `folder` have, packages left out."""
    files = (path for path in folder.rglob("test_*.py") if not (path.parent / "__init__.py").exists())
    return sorted(name for name, count in Counter(path.name for path in files).items() if count > 1)


def test_no_two_test_files_outside_a_package_have_one_name() -> None:
    assert twice(TESTS) == []


def tight(text: str) -> list[str]:
    """The waits of a lab's text that give up in less than a minute."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and re.fullmatch(r"(servers\.)?wait_for", ast.unparse(node.func))
        for keyword in node.keywords
        if keyword.arg == "timeout" and isinstance(keyword.value, ast.Constant) and keyword.value.value < 60
    ]


_ASKS = re.compile(r"httpx\.(get|options|head|post|put|patch|delete|request|stream|(Async)?Client)")


def hasty(text: str) -> list[str]:
    """The requests of a lab's text that httpx gives up after its own 5 seconds, or that say less than 30.

    One that is to be given up says so by a fraction of a second.
    """
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not _ASKS.fullmatch(ast.unparse(node.func)):
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg in {"timeout", None}]
        short = (v.value for v in given if isinstance(v, ast.Constant) and isinstance(v.value, int))
        if not given or any(seconds < 30 for seconds in short):
            found.append(ast.unparse(node))
    return found


@each_row("candidate, impatient", [(_MAYBE, tight), (_ASKS, hasty)], ids=["wait", "request"])
def test_a_lab_waits_a_minute_for_a_server_and_half_of_one_for_an_answer(
    candidate: re.Pattern[str], impatient: Callable[[str], list[str]]
) -> None:
    """A bound costs nothing where all goes well, and three workers on two slow cores take their time."""
    found = {
        str(path.relative_to(TESTS)): places
        for folder in ("core", "lab", "e2e")
        for path in (TESTS / folder).rglob("*.py")
        if candidate.search(text := path.read_text(encoding="utf-8"))
        if (places := impatient(text))
    }
    assert found == {}


def test_what_is_impatient_is_found() -> None:
    short = "servers.wait_for(up, timeout=20)"
    assert tight(f"{short}\nwait_for(up, timeout=90)\nwait_for(up)") == [short]
    kept = "httpx.get(url, timeout=60)\nhttpx.post(url, timeout=1.5)\nhttpx.Client(**options)\nhttpx.Limits()"
    asks = ["httpx.get(url)", "httpx.AsyncClient(timeout=20)"]
    assert hasty("\n".join((kept, *asks))) == asks


def test_a_test_beside_the_labs_names_what_it_needs() -> None:
    """By `mark.lab` it would demand whatever any lab runs: without Docker or a browser it is skipped."""
    marked = re.compile(r"\bmark\.(lab|e2e)\b")
    found = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if path.relative_to(TESTS).parts[0] not in {"lab", "e2e"}
        and any(
            marked.search(line.partition("`")[0]) for line in path.read_text(encoding="utf-8").splitlines()
        )
    ]
    assert found == []
