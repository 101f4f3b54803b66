"""`python -m tests.messages`: how far each file of the catalogue is.

With `extract`: write what the code says into the catalogue, keeping what is translated. With `left [ROOM]`:
the texts that are not translated.
With `merge`, while git waits for conflicts to be resolved: put the translations of both sides into each file.
"""

from __future__ import annotations

import sys

from tests.messages import catalogue
from tests.messages.said import all_said


def main(words: list[str]) -> int:
    """Do what `words` ask for; exit 2 for what nobody knows."""
    match words:
        case ["extract"]:
            files = catalogue.written(all_said(), catalogue.rooms())
            for path in catalogue.JAPANESE.glob("*.po"):
                if path.stem not in files:
                    path.unlink()
            for room, text in files.items():
                (catalogue.JAPANESE / f"{room}.po").write_text(text, encoding="utf-8")
        case ["left", *chosen]:
            for room, kept in catalogue.rooms().items():
                if not chosen or room in chosen:
                    print(*(f"{room}: {text}" for text in catalogue.untranslated(kept)), sep="\n")
            return 0
        case ["merge"]:
            print(*(f"merged {path}; `git add` it" for path in catalogue.merge()), sep="\n")
            return 0
        case []:
            pass
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print(f"{'':22} {'texts':>6} {'left':>6}")
    for room, kept in catalogue.rooms().items():
        print(f"{room:22} {len(catalogue.messages(kept)):6} {len(catalogue.untranslated(kept)):6}")
    for line in catalogue.unlike(all_said(), catalogue.rooms()):
        print("other values:", line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
