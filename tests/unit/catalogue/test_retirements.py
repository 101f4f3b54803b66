from __future__ import annotations

import re
from pathlib import Path

from techsapo_ops.catalogue.retirements import retirements

ROOT = Path(__file__).parents[3]
TREES = ("techsapo_ops", "templates", "examples", "docs", "tests")
NAMED_WITH_REASON = {
    "techsapo_ops/catalogue/retirements.yaml": "the table itself",
    "docs/from-the-guide.md": "what the guide's names became",
    "docs/upgrade.md": "what became of specs that name them",
    "docs/upgrade.ja.md": "what became of specs that name them",
    "tests/lab/test_upgrade_lab.py": "a stack as the version before brought it up",
    "docs/wall-bounce.md": "which models the warning is for",
    "docs/wall-bounce.ja.md": "which models the warning is for",
    "tests/cases/vendors/google.yaml": "the stand-in refuses them",
    "tests/cases/vendors/openai.yaml": "the stand-in refuses them, or their options",
    "tests/cases/vendors/anthropic.yaml": "the stand-in refuses them, or their options",
    "tests/lab/test_provider_contracts_lab.py": "they are refused there",
    "tests/unit/spec/test_spec_vendors.py": "they are warned of there",
}


def test_no_file_names_a_retiring_model_without_a_reason() -> None:
    names = sorted({model for _, model in retirements() if "-" in model}, key=len, reverse=True)
    found = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?![\w-]|\.\d)")
    seen = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*ROOT.glob("README*.md"), *(p for tree in TREES for p in (ROOT / tree).rglob("*"))]
        if path.is_file() and path.suffix in {".py", ".md", ".yaml", ".yml", ".j2", ".json", ".html", ".js"}
        and "__pycache__" not in path.parts
        and str(path.relative_to(ROOT)) not in NAMED_WITH_REASON
        for match in found.finditer(path.read_text(encoding="utf-8", errors="replace"))
    }  # fmt: skip
    assert seen == set()


def test_no_vendor_names_a_retiring_model_in_a_retiring_ones_place() -> None:
    known = retirements()
    for (vendor, model), row in known.items():
        assert (vendor, row.replacement) not in known, model
        assert row.source, model


def test_every_successor_has_a_list_price_so_that_naming_it_is_enough() -> None:
    from techsapo_ops.wallbounce.prices import list_price

    successors = {(vendor, row.replacement) for (vendor, _), row in retirements().items() if row.replacement}
    assert {pair for pair in successors if list_price(*pair) is None} == set()
