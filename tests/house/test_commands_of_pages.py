"""Every `techsapo …` in README, docs/ and runbooks is one that the command line takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rows import each_row

from techsapo_ops.cli.main import MOVED
from tests.house.commands import wrong

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *ROOT.glob("README*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "techsapo_ops/catalogue/runbooks").glob("*.md"),
    )
)  # fmt: skip
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?<!`)`(techsapo [^`]+)`(?!`)")
_FORM = re.compile(r"[\[\]…|]|\.\.\.")
"""In inline code: how a command is written in general, such as `drift|costs` or [ID]."""
_OLD = {"docs/from-the-guide.md"}
"""It also speaks of what others have."""


def commands_of(page: str) -> Iterator[str]:
    """What of a page is to be typed, and what inline code names."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for language, block in _FENCE.findall(text):
        if language in {"sh", "", "bash"}:
            yield from (line for line in block.splitlines() if re.match(r"(?:sudo )?techsapo ", line))
    rest = _FENCE.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    techsapo "))
    yield from (code for code in _CODE.findall(rest) if not _FORM.search(code))


@each_row("page", PAGES)
def test_every_command_of_a_page_is_one(page: str) -> None:
    bad = {line: why for line in commands_of(page) if (why := wrong(line))}
    assert bad == {} or page in _OLD, bad


@each_row("page", [p for p in PAGES if p.endswith(".ja.md")])
def test_both_languages_show_the_same_commands_to_be_typed(page: str) -> None:
    def typed(name: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = "\n".join(block for language, block in _FENCE.findall(text) if language in {"sh", ""})
        lines = (re.sub(r"\"[^\"]*\"|\s+#.*", "", line).strip() for line in blocks.splitlines())
        return [line for line in lines if re.match(r"(?:sudo )?(?:techsapo|make) ", line)]

    assert typed(page) == typed(page.replace(".ja.md", ".md"))


@each_row("present", sorted(set(MOVED.values())))
def test_what_an_old_spelling_is_answered_with_is_taken(present: str) -> None:
    assert wrong(f"techsapo {present}") == ""


def test_a_command_that_there_is_not_is_told() -> None:
    assert wrong("techsapo backup verify --deep") == ""
    assert wrong("techsapo backup") == ""
    assert wrong('techsapo ask "a question" | tee answer') == ""
    assert "drill load" in wrong("techsapo drill load")
    assert "--never" in wrong("techsapo up --never")
    assert "statuses" in wrong("techsapo statuses")
    assert sum(1 for page in PAGES for _ in commands_of(page)) > 500
