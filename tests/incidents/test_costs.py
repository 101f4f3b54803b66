"""What the page says that an incident costs, with the price table and on the recorded bundles."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models import Spec
from tests.incidents.costs import (
    BYTES,
    BYTES_PER_TOKEN,
    FORM_TOKENS,
    PANELS,
    PRICED,
    THOUGHT_TOKENS,
    cost,
    measured,
    rows,
)

REPOSITORY = Path(__file__).parents[2]
PAGES = ("docs/incidents.md", "docs/incidents.ja.md")
_ROW = re.compile(r"^\| (`[^|]+`) \| (\$[^\n]+\$[\d.]+) \|$", re.MULTILINE)


def page_text(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


@each_row("page", PAGES)
def test_every_sum_of_the_page_is_that_of_the_list_prices_of_its_day(page: str) -> None:
    """`python -m tests.incidents.costs` prints the rows."""
    text = page_text(page)
    assert dict(_ROW.findall(text)) == rows()
    tokens = round(BYTES / BYTES_PER_TOKEN)
    figures = [f"{number:,}" for number in (BYTES, tokens, FORM_TOKENS, THOUGHT_TOKENS)]
    for said in (f"{PRICED}", f"genai-prices {version('genai-prices')}", f"{BYTES_PER_TOKEN}", *figures):
        assert said in text


@each_row("page", PAGES)
def test_what_the_default_budget_has_room_for_is_as_the_page_says(page: str) -> None:
    spec = Spec.model_validate({"project": "costs", "investigate": {}})
    assert spec.investigate is not None
    purse = spec.investigate.budget_share * spec.budget.resolved_daily_usd
    assert f"${purse:.2f}" in page_text(page)
    assert all(cost(panel).reserved <= purse for panel in PANELS)
    assert spec.wallbounce.tiers.basic.providers == len(PANELS[0])


def test_the_providers_of_the_example_cost_nothing_and_nothing_is_counted() -> None:
    spec = Spec.model_validate(read_yaml(page_text("examples/investigate.yaml")))
    assert all(section.simulated for section in spec.providers.values())
    assert not spec.budget.count_simulated


def test_the_usual_panels_are_the_first_providers_of_a_new_spec() -> None:
    made = page_text("templates/init/techsapo.yaml.j2")
    listed = re.findall(r"\{kind: (openai|google|anthropic), model: ([\w.-]+),", made)
    assert [[(model.vendor, model.name) for model in panel] for panel in PANELS[:2]] == [
        listed[:2],
        listed[:3],
    ]


def test_the_bytes_of_a_call_are_the_median_of_the_recorded_bundles() -> None:
    assert round(measured() / 500) * 500 == BYTES
