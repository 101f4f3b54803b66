"""What counts as a difference between a configuration and what a server writes back of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.loaded_configuration import lacking

CASES = read_yaml((Path(__file__).parents[2] / "cases" / "readback.yaml").read_text(encoding="utf-8"))


@each_row("case", CASES, ids=[c["case"] for c in CASES])
def test_only_what_was_wanted_and_does_not_run_is_a_difference(case: dict[str, Any]) -> None:
    assert lacking(case["ours"], case["theirs"]) == case.get("lacks", "")
