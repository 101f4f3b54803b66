"""`make vm-lab` keeps its machines out of the repository, and cuts the power at eleven moments."""

from __future__ import annotations

import inspect
from pathlib import Path

from tests.vm import scenarios

ROOT = Path(__file__).parents[2]


def test_machines_and_their_reports_are_not_committed() -> None:
    assert ".vm-lab/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_the_power_is_cut_at_eleven_moments_and_each_scenario_says_what_it_tries() -> None:
    cuts = [each for each in scenarios.ALL if "cut_off(" in inspect.getsource(each)]
    assert len(cuts) == 11
    assert all(each.__doc__ for each in scenarios.ALL)
