"""The recorded bundles: each is whole, small, answered, and free of what only the recorder's machine has."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from techsapo_ops.incidents.bundle import read_answer, read_bundle
from techsapo_ops.incidents.material import Kind, Material
from tests.incidents.record.scenario import SCENARIOS

BUNDLES = Path(__file__).parent / "bundles"
NAMES = sorted(path.name for path in BUNDLES.iterdir())
MOST_BYTES = 200_000
_FOREIGN = re.compile(
    r"/(?:srv|root|work|home|tmp)/|pyenv|recorded-[0-9a-f]|first-password|second-password|watching|"
    r"key-of-the|PRIVATE KEY|correct horse"
)


def texts_of(material: Material) -> dict[Kind, str]:
    """All that a bundle says, by kind of evidence."""
    series = (
        f"{one.labels['__name__']}{{" + ", ".join(f'{k}="{v}"' for k, v in one.labels.items() if k[0] != "_")
        for one in material.series
    )
    return {
        "metrics": "\n".join(text.replace('instance="web-1", ', "") for text in series),
        "logs": "\n".join(f"{line.service} {line.text}" for line in material.lines),
        "changes": "\n".join(f"{one.service} {one.text}\n{one.detail}" for one in material.changes),
        "host": "\n".join(f"{one.name}: {one.value}" for one in material.facts),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_bundle_is_small_and_holds_what_settles_it(name: str) -> None:
    scenario, folder = SCENARIOS[name], BUNDLES / name
    material = read_bundle(folder)
    assert read_answer(folder) == scenario.answer()
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= MOST_BYTES
    assert material.subject.alert == scenario.alert
    assert material.start < material.subject.began < material.end
    texts = texts_of(material)
    for decisive in scenario.answer().decisive:
        said = texts[decisive.kind].casefold()
        assert any(text.casefold() in said for text in decisive.contains), decisive
    assert {one.source for one in material.unread} == set(scenario.unread)
    everything = "\n".join(texts.values()).casefold()
    assert [text for text in scenario.absent if text.casefold() in everything] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_bundle_holds_no_secret_and_no_path_of_the_machine_that_recorded_it(name: str) -> None:
    files = [file for file in (BUNDLES / name).rglob("*") if file.is_file()]
    found = [match[0] for file in files for match in _FOREIGN.finditer(file.read_text())]
    assert found == []


def test_of_the_recorded_bundles_eight_are_false_alarms_and_five_can_not_be_solved() -> None:
    outcomes = Counter(SCENARIOS[name].outcome for name in NAMES)
    assert len(NAMES) >= 40
    assert (outcomes["false_alarm"], outcomes["unsolvable"]) == (8, 5)
