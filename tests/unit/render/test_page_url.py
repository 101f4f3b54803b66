"""Where links in messages lead: the outside address of the app's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row
from stacks import spec

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.front_door import host_names
from techsapo_ops.stack.address import leads_here_alone, page_url

CASES = read_yaml((Path(__file__).parents[2] / "cases/page_urls.yaml").read_text(encoding="utf-8"))


@each_row("case", CASES, ids=lambda case: case["url"])
def test_the_pages_are_linked_by_the_name_that_the_spec_gives_them(case: dict[str, Any]) -> None:
    made = spec(**case["spec"])
    assert page_url(made, "/runbooks/AppDown") == case["url"] + "/runbooks/AppDown"
    assert leads_here_alone(made) is case["here"]


def test_the_name_that_links_lead_to_is_one_that_the_app_answers() -> None:
    made = spec(app={"public_url": "https://Ops.example.com:8443", "allowed_hosts": ["web"]})
    assert host_names(made) == ("ops.example.com", "web")
