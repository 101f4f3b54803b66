"""`make reference`: writes docs/reference/ and docs/man/ anew; --check says what is not current."""

from __future__ import annotations

import sys
from pathlib import Path

from docsite.reference.commands import commands_page, man_pages
from docsite.reference.configuration import configuration
from docsite.reference.metrics import alerts_page, metrics_page
from docsite.reference.parts import LANGUAGES

ROOT = Path(__file__).parents[2]
_PAGES = {
    "configuration": configuration,
    "commands": commands_page,
    "metrics": metrics_page,
    "alerts": alerts_page,
}


def made() -> dict[str, str]:
    """Every generated file by its path in the repository."""
    found = {f"docs/man/{name}": text for name, text in man_pages().items()}
    for name, page in _PAGES.items():
        for language in LANGUAGES:
            found[f"docs/reference/{name}{'' if language == 'en' else '.ja'}.md"] = page(language)
    return found


def stale(root: Path = ROOT) -> list[str]:
    """Generated files that are not as the code makes them, and files beside them that it does not make."""
    files = made()
    there = {
        str(p.relative_to(root))
        for folder in ("docs/reference", "docs/man")
        for p in (root / folder).glob("*")
    }
    return sorted(
        (there - files.keys())
        | {
            name
            for name, text in files.items()
            if name not in there or (root / name).read_text(encoding="utf-8") != text
        }
    )


def main() -> None:
    """Write what is not current."""
    found = stale()
    if "--check" in sys.argv[1:]:
        for name in found:
            print(f"{name} is not current: run `make reference`")
        sys.exit(1 if found else 0)
    files = made()
    for name in found:
        path = ROOT / name
        if name in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name], encoding="utf-8")
            print(f"wrote {name}")
        else:
            path.unlink()
            print(f"removed {name}")


if __name__ == "__main__":
    main()
