"""What the pages for developers name is there: files, folders, names in a file, pages, decisions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rows import each_row

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "techsapo_ops"
DECISIONS = REPOSITORY / "docs" / "decisions"
FOR_DEVELOPERS = ("CONTRIBUTING.md", "docs/architecture.md", "docs/recipes.md")
"""Pages in which every path is one of this repository; others also speak of files of a stack."""
MADE_HERE = re.compile(r"\.techsapo|\.venv|\.power-lab|.*__pycache__")
"""What is made in a checkout and is not in the repository."""
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[\w.*-]+\.(?:py|yaml|lua|j2|toml|js|md)|Makefile")
_NAMED = re.compile(r"`([\w/.]+\.py)`(?:,| \()((?:(?: |, )?`[A-Za-z_][\w.]*`)+)")
_LINK = re.compile(r"\]\(([^)#\s]*)#?([^)\s]*)\)")
_OURS = ("techsapo_ops/", "tests/", "docs/", "templates/", "examples/", "catalogue/", ".ci/")


def pages() -> list[str]:
    """Every page for people, by its path."""
    found = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    return sorted(str(p.relative_to(REPOSITORY)) for p in found)


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def paths(page: str) -> Iterator[str]:
    """What a page names as code and what looks like a path of this repository."""
    blocks = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    rooms = tuple(f"{p.name}/" for p in PACKAGE.iterdir() if p.is_dir())
    for code in _CODE.findall(blocks):
        for word in code.split():
            name = word.split("::")[0].rstrip(":,")
            path = "/" in name and re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", name)
            if MADE_HERE.match(name):
                continue
            if page in FOR_DEVELOPERS:
                if path or _FILE.fullmatch(name):
                    yield name
            elif path and (name.startswith(_OURS) or (name.startswith(rooms) and name.endswith(".py"))):
                yield name


@cache
def places(name: str) -> list[Path]:
    """What is called so, below the package or the repository."""
    return [found for root in (PACKAGE, REPOSITORY) for found in root.glob(name.rstrip("/"))]


@each_row("page", [page for page in pages() if page.endswith(".ja.md")])
def test_a_page_in_two_languages_links_from_each_to_the_other_at_its_top(page: str) -> None:
    english = page.replace(".ja.md", ".md")
    for one, link in ((page, f"[English]({Path(english).name})"), (english, f"[日本語]({Path(page).name})")):
        assert link in "\n".join(text_of(one).splitlines()[:4]), one


@each_row("page", pages())
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    assert sorted({name for name in paths(page) if not places(name)}) == []


@each_row("page", pages())
def test_every_page_and_heading_that_a_page_links_to_is_there(page: str) -> None:
    folder = (REPOSITORY / page).parent
    links = {(target, part) for target, part in _LINK.findall(text_of(page)) if "://" not in target}
    missing = [link for link in links if not (folder / link[0]).exists()]
    for target, part in links:
        linked = folder / target if target else REPOSITORY / page
        if part and linked.suffix == ".md" and linked.exists() and part not in headings(linked):
            missing.append((target, part))
    assert sorted(missing) == []


@cache
def headings(page: Path) -> frozenset[str]:
    """The headings of a page, as GitHub and most others make names for links of them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found)


@cache
def defined(path: Path) -> frozenset[str]:
    """Functions, classes with their methods and fields, and constants of a file."""
    return frozenset(_names(ast.parse(path.read_text(encoding="utf-8")).body))


def _names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


@each_row("page", FOR_DEVELOPERS)
def test_what_a_page_names_in_a_file_is_defined_there(page: str) -> None:
    missing = []
    named = _NAMED.findall(re.sub(r"\s+", " ", text_of(page)))
    for path, names in named:
        known = {name for place in places(path) for name in defined(place)}
        missing += [f"{path}: {name}" for name in _CODE.findall(names) if name not in known]
    assert missing == []


def test_the_names_in_files_are_found_and_one_that_is_not_there_is_told() -> None:
    found = dict(
        _NAMED.findall("`stack/kind.py` (`Kind`, `Kind.none`), (`errors.py`, `OpsError`) `a/b.py`, `c/d.py`")
    )
    assert found == {"stack/kind.py": "`Kind`, `Kind.none`", "errors.py": " `OpsError`"}
    assert {"Kind", "Kind.beside"} <= defined(PACKAGE / "stack" / "kind.py")
    assert "Kind.none" not in defined(PACKAGE / "stack" / "kind.py")
    assert len(_NAMED.findall(text_of("docs/architecture.md"))) > 30


def test_the_architecture_names_every_room() -> None:
    rooms = {f"{p.parent.name}/" for p in PACKAGE.glob("*/__init__.py")}
    table = text_of("docs/architecture.md").partition("## The rooms")[2].partition("\n## ")[0]
    assert rooms == set(re.findall(r"^\| `(\w+/)` \|", table, re.MULTILINE))


def test_the_pages_index_leads_to_every_page_in_its_language_once() -> None:
    docs = {page for page in pages() if page.startswith("docs/") and "decisions/0" not in page} - {
        "docs/index.md",
        "docs/index.ja.md",
    }
    own = {page for page in docs if page.endswith(".ja.md")}
    english = docs - own
    for index, wanted in (
        ("docs/index.md", english),
        ("docs/index.ja.md", own | {page for page in english if page.replace(".md", ".ja.md") not in own}),
    ):
        listed = re.findall(r"^- \[.+?\]\(([^)]+)\)", text_of(index), re.MULTILINE)
        assert len(listed) == len(set(listed))
        assert {f"docs/{target}" for target in listed if not target.startswith("../")} == wanted


def test_the_index_has_every_decision_once_and_in_order() -> None:
    index = re.findall(
        r"^\| \d+ \| \[.+?\]\((\d{4}-[\w-]+\.md)\)", text_of("docs/decisions/README.md"), re.MULTILINE
    )
    assert index == sorted(p.name for p in DECISIONS.glob("[0-9]*.md"))
    assert len(index) > 20


def test_a_picture_is_small_and_has_nothing_of_elsewhere() -> None:
    for picture in (REPOSITORY / "docs" / "images").iterdir():
        content = picture.read_bytes()
        assert len(content) <= 200_000, picture.name
        assert b"url(http" not in content, picture.name
