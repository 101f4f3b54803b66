"""`make docs`: builds the pages of docs/ into the site that the app serves under /help.

Zensical makes a site of one language, so each gets a tree of its own: NAME.md goes to en/, NAME.ja.md to ja/.
Links are made anew on the way: those between the languages, to runbooks, which the app serves itself, and
to files that are no pages. The sections of docs/index.md are the site's navigation; the reference, which is
made from the code, follows them. The result is one archive in the package, and the man pages in build/man.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from techsapo_ops.cli.reference import reference_pages
from techsapo_ops.cli.reference.commands import write_man_pages

ROOT = Path(__file__).parents[2]
MAN = ROOT / "build" / "man"
TARGET = ROOT / "techsapo_ops" / "_help.zip"
LANGUAGES = {"en": ("English", "TechSapo operations"), "ja": ("日本語", "TechSapo の運用")}
FROM_ROOT = {
    "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "reporting.md", "CHANGELOG.md": "changelog.md",
    "README.md": "readme.md", "README.ja.md": "readme.ja.md",
}  # fmt: skip
"""Pages beside docs/ that others link to, and what they are called here."""
RUNBOOKS = ROOT / "techsapo_ops" / "catalogue" / "runbooks"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# The search brings its style as an element, which the app's pages don't allow; they allow a sheet.
_ALIGNED = re.compile(r'style="text-align: (left|right|center);"')
_STYLE = re.compile(r'(\w+)\.appendChild\(\w+\("style",\{\},(\w+)\.toString\(\)\)\)')
_SHEET = r"(s=>{let c=new CSSStyleSheet;c.replaceSync(s);\1.adoptedStyleSheets=[c]})(\2.toString())"
_SPACE, _POINT = r"\s\-_,:!=\[\]()\\`/" + '"', r"\.(?!\d)"
_SEPARATOR = {"en": f"[{_SPACE}]+|{_POINT}", "ja": f"[{_SPACE}、。，．（）「」：]+|{_POINT}"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the repository, and where it is in the site: a language and a path in its tree.

    `made` is Markdown that is made from the code: the page, or the end of a written one.
    """

    source: Path
    language: str
    path: str
    made: str = ""

    @property
    def text(self) -> str:
        """Its Markdown."""
        written = self.source.read_text(encoding="utf-8") if self.source.exists() else ""
        return f"{written}\n{self.made}" if self.made else written


@cache
def pages() -> list[Page]:
    """Every page of the site."""
    docs = ROOT / "docs"
    made = {name: make() for name, make in reference_pages().items()}
    names = {*made, *(source.relative_to(docs).as_posix() for source in docs.glob("**/*.md"))}
    below = (_page(docs / name, name, made.get(name, "")) for name in sorted(names))
    return [*below, *(_page(ROOT / name, called) for name, called in FROM_ROOT.items())]


def _page(source: Path, name: str, made: str = "") -> Page:
    language = "ja" if name.endswith(".ja.md") else "en"
    path = name.removesuffix(".ja.md").removesuffix(".md")
    return Page(source, language, f"{path.replace('/README', '/index')}.md", made)


def rewritten(page: Page, known: Mapping[Path, Page]) -> str:
    """The text of a page with links that work in the site; code is left as it is."""
    parts = _FENCE.split(page.text)
    return "".join(
        part if n % 2 else _LINK.sub(lambda m: _link(page, m, known), part) for n, part in enumerate(parts)
    )


def _link(page: Page, match: re.Match[str], known: Mapping[Path, Page]) -> str:
    image, words, target, part = match[1], match[2], match[3], match[4] or ""
    if "://" in target or target.startswith("mailto:") or not target:
        return match[0]
    there = (page.source.parent / target).resolve()
    words = _LINK.sub(lambda m: _link(page, m, known), words)  # a picture that is a link
    up = "../" * page.path.count("/")
    if there in known:
        to = known[there]
        if to.language == page.language:
            return f"{image}[{words}]({os.path.relpath(to.path, Path(page.path).parent)}{part})"
        part = f"#{quote(part[1:])}" if part else ""
        return f"[{words}](../{up}{to.language}/{to.path.removesuffix('.md')}.html{part})"
    if there == RUNBOOKS or there.parent == RUNBOOKS:
        name = "" if there == RUNBOOKS else f"/{there.stem}"
        return f"[{words}](/runbooks{name}?lang={page.language})"
    if image and there.is_relative_to(ROOT / "docs"):
        return f"![{words}](../{up}{there.relative_to(ROOT / 'docs')})"
    if not there.exists():
        sys.exit(f"{page.source.relative_to(ROOT)} links to {target}, which is not there")
    return words


def navigation(language: str) -> list[dict[str, object]]:
    """Sections and pages as the index lists them."""
    index = ROOT / "docs" / ("index.ja.md" if language == "ja" else "index.md")
    known = {page.source: page for page in pages()}
    found: list[dict[str, object]] = []
    entries: list[dict[str, str]] = []
    for line in known[index].text.splitlines():
        if line.startswith("# "):
            found.append({line[2:]: "index.md"})
        elif line.startswith("## "):
            entries = []
            found.append({line[3:]: entries})
        elif line.startswith("- ") and (match := _LINK.search(line)):
            page = known.get((index.parent / match[3]).resolve())
            if page is not None and page.language == language:
                entries.append({match[2]: page.path})
    return found


def build(target: Path = TARGET) -> None:
    """Build both languages into the archive `target`. Ends the program where a link leads nowhere."""
    known = {page.source: page for page in pages()}
    with tempfile.TemporaryDirectory(prefix="techsapo-docs-") as made:
        work, out = Path(made), Path(made) / "out"
        for page in known.values():
            there = work / page.language / page.path
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(rewritten(page, known), encoding="utf-8")
        for language in LANGUAGES:
            _generate(work, language)
        images = ROOT / "docs" / "images"
        files = {f"images/{p.name}": p.read_bytes() for p in sorted(images.iterdir())}
        for path in sorted(out.rglob("*")):
            if path.is_file():
                files[path.relative_to(out).as_posix()] = path.read_bytes()
        _write(target, _scripts_apart(files))


def _generate(work: Path, language: str) -> None:
    own, title = LANGUAGES[language]
    alternate = [
        {"name": words, "link": f"/help/{each}/index.html", "lang": each}
        for each, (words, _) in LANGUAGES.items()
    ]
    project = {
        "site_name": title, "docs_dir": language, "site_dir": f"out/{language}", "use_directory_urls": False,
        "nav": navigation(language),
        "theme": {
            "language": language, "font": False,
            "features": _FEATURES,
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "extra": {"alternate": alternate, "generator": False, "homepage": "/"},
        "plugins": [{"search": {"lang": language, "separator": _SEPARATOR[language]}}],
        "markdown_extensions": [
            "tables", "md_in_html", "attr_list", "admonition", "pymdownx.superfences", "pymdownx.highlight",
            {"toc": {"permalink": True, "slugify": _SLUGIFY}},
        ],
    }  # fmt: skip
    configuration = work / f"{language}.yml"
    configuration.write_text(_yaml(project), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", str(configuration)],
        cwd=work, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"the site of {own} can't be built:\n{done.stdout}{done.stderr.partition('Traceback')[0]}")


class _Tag(str):
    """YAML that stands as it is: JSON, which YAML contains, has no tags."""

    __slots__ = ()


_FEATURES = ["navigation.sections", "navigation.top", "content.code.copy", "search.highlight", "toc.follow"]
# Names of headings as GitHub makes them, so that links work in both places.
_SLUGIFY = _Tag("!!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}")


def _yaml(value: object) -> str:
    if isinstance(value, _Tag):
        return str(value)
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {_yaml(v)}" for k, v in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _scripts_apart(files: dict[str, bytes]) -> dict[str, bytes]:
    """Scripts and styles within pages as files and sheets of their own: the app's pages allow no others."""
    found = {}
    for name, content in files.items():
        if "/bundle." in name:
            script, count = _STYLE.subn(_SHEET, content.decode())
            if count != 1:
                sys.exit(
                    f"{name}: zensical brings its search's style in another way now, see docsite/__main__.py"
                )
            content = script.encode()
        if name.endswith(".html"):
            up = "../" * (name.count("/") - 1)

            def apart(match: re.Match[str], up: str = up, language: str = name.split("/")[0]) -> str:
                script = match[1].encode()
                file = f"assets/javascripts/page.{hashlib.sha256(script).hexdigest()[:8]}.min.js"
                found[f"{language}/{file}"] = script
                return f'<script src="{up}{file}"></script>'

            content = _ALIGNED.sub(r'align="\1"', _SCRIPT.sub(apart, content.decode())).encode()
        found[name] = content
    return found


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    """One archive, the same bytes from the same pages; nobody sees half of it."""
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    partial.replace(target)


def main() -> None:
    """Build the site into the package, and write the man pages."""
    build()
    print(f"wrote {TARGET.relative_to(ROOT)}, {TARGET.stat().st_size / 1e6:.1f} MB")
    write_man_pages(MAN)
    print(f"wrote {MAN.relative_to(ROOT)}, {len(list(MAN.iterdir()))} man pages")


if __name__ == "__main__":
    main()
