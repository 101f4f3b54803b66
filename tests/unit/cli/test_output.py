"""How tables look where the terminal is narrow."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from techsapo_ops.cli.output import make_table


@pytest.mark.parametrize("name", ["prometheus-redis-exporter", "20261126T051342Z", "障害の監視"])
def test_a_name_is_never_broken_over_two_lines(name: str) -> None:
    """It is copied into the next command."""
    shown = StringIO()
    build = "0.2.0+d162b56e4a.9ab617 " * 3
    Console(file=shown, width=60).print(make_table(("NAME", "STATE", "BUILD"), [(name, "running", build)]))
    lines = shown.getvalue().splitlines()[1:]
    assert lines[0].startswith(f"{name} ")
    folded = "".join(lines).replace(name, "").replace("running", "")
    assert "".join(folded.split()) == "".join(build.split()), "the rest is folded, not cut"


def test_a_name_that_fills_the_line_is_folded() -> None:
    shown = StringIO()
    Console(file=shown, width=40).print(make_table(("FILE", "STATE"), [("/x" * 60, "the same")]))
    assert "".join(line[:30].strip() for line in shown.getvalue().splitlines()[1:]).startswith("/x/x")
    assert all(len(line) <= 40 for line in shown.getvalue().splitlines())
