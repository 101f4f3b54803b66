"""A prompt for an SQLite database that is only read; its text is handed to `python -c` where the file is.

So it imports the standard library alone. `python -m sqlite3` is newer than the oldest Python that we run on.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable
from urllib.parse import quote


def main(words: list[str]) -> int:
    """Answer one statement, or those that are read until the end; 1 where one of them failed."""
    name, statements = words[0], words[1:]
    if not os.path.exists(name):  # noqa: PTH110 - handed over as text
        sys.stderr.write(f"error: there is no {name} yet: nothing was asked\n")
        return 1
    connection = sqlite3.connect(f"file:{quote(os.path.abspath(name))}?mode=ro", uri=True, timeout=30)  # noqa: PTH100
    if statements:
        return _answer(connection, " ".join(statements))
    at_terminal = sys.stdin.isatty()
    if at_terminal:
        import readline  # noqa: F401 - the line can be edited

        sys.stdout.write(f"SQLite {sqlite3.sqlite_version}, {name}, read only; Ctrl-D ends\n")
    wrong, text = 0, ""
    while True:
        try:
            text += input(("sqlite> " if not text else "   ...> ") if at_terminal else "") + "\n"
        except EOFError:
            break
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            text = ""
            continue
        if sqlite3.complete_statement(text) or not text.strip():
            wrong |= _answer(connection, text)
            text = ""
    if at_terminal:
        sys.stdout.write("\n")
    return wrong | (_answer(connection, text) if text.strip() else 0)


def _line(values: Iterable[object]) -> None:
    sys.stdout.write("\t".join("" if value is None else str(value) for value in values) + "\n")


def _answer(connection: sqlite3.Connection, text: str) -> int:
    try:
        cursor = connection.execute(text)
        if cursor.description is not None:
            _line(column[0] for column in cursor.description)
        for row in cursor:
            _line(row)
    except sqlite3.Error as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
