"""Reads the files of a bundle, which may come from a stranger.

No link in the folder is followed, no file is read beyond its size, and an error names file and line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from techsapo_ops.adapters.folders import open_file
from techsapo_ops.adapters.jsons import load
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.openmetrics import OpenMetricsError
from techsapo_ops.messages import msg

ALERT, ANSWER = "alert.json", "answer.json"
NAMES = {
    "series": "metrics.om", "lines": "logs.jsonl", "changes": "changes.json", "facts": "facts.json",
    "pages": "pages.json",
}  # fmt: skip
"""The file of each part of a Material."""
MOST_BYTES = {
    "series": 32_000_000, "lines": 32_000_000, "changes": 4_000_000, "facts": 2_000_000, "pages": 4_000_000,
}  # fmt: skip
_OBJECT = 2_000_000
"""The largest alert.json and answer.json."""
_SAID = {
    "missing": msg("is missing"),
    "unexpected_keyword_argument": msg("unknown key"),
    "string_too_long": msg("too long"),
    "too_long": msg("too long"),
    "timezone_aware": msg("must be a time with its zone, such as 2026-01-31T03:10:00Z"),
}
_Path = tuple[int | str, ...]
_SPACE = re.compile(r"[\s,]*")


@cache
def adapter_of(of: Any) -> TypeAdapter[Any]:
    """What checks and writes values of that class."""
    return TypeAdapter(of)


def checked(of: Any, value: object, place: Callable[[_Path], str]) -> Any:
    """`value` as an `of`. Raises OpsError for the first thing that is wrong, at its place."""
    try:
        return adapter_of(of).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        where, problem = place(first["loc"]), _SAID.get(first["type"], first["msg"])
        if isinstance(cause, OpenMetricsError):
            where, problem = f"{where}:{cause.line}", cause.problem
        raise _wrong(where, problem) from None


def _wrong(where: object, problem: str) -> OpsError:
    return OpsError(msg("{where}: {problem}", where=where, problem=problem))


class Files:
    """The files in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: dict[str, str] = {}
        """What was read, by the file's name: for the line of what is wrong."""

    def material(self) -> dict[str, Any]:
        """All files but the answer as the JSON of a Material, not yet checked. Raises OpsError."""
        alert = self.object(ALERT)
        if alert is None:
            raise _wrong(self._path / ALERT, msg("is missing"))
        if double := set(alert) & set(NAMES):
            raise _wrong(self._path / ALERT, msg("{key} has a file of its own", key=min(double)))
        for part, name in NAMES.items():
            text = self._text(name, MOST_BYTES[part])
            if text and part == "lines":
                lines = text.removesuffix("\n").split("\n")
                alert[part] = [self._json(name, line, number) for number, line in enumerate(lines, 1)]
            elif text is not None and part != "lines":
                alert[part] = text if part == "series" else self._json(name, text)
        return alert

    def object(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a file; None where there is no such file. Raises OpsError."""
        text = self._text(name, _OBJECT)
        value = None if text is None else self._json(name, text)
        if text is not None and not isinstance(value, dict):
            raise _wrong(self._path / name, msg("must be an object"))
        return value

    def place(self, path: _Path) -> str:
        """File and line of the value at `path` in what `material` returned."""
        part, rest = str(path[0]), path[1:]
        if part not in NAMES:
            return self.place_in(ALERT)(path)
        name = NAMES[part]
        if not rest:
            return str(self._path / name)
        number = int(rest[0])
        line = number + 1 if part == "lines" else _line_of_entry(self._texts[name], number)
        return ": ".join([f"{self._path / name}:{line}", *_dotted(rest[1:])])

    def place_in(self, name: str) -> Callable[[_Path], str]:
        """What names file and line of the value at a path in the object in the file `name`."""

        def place(path: _Path) -> str:
            text = self._texts[name]
            keys = [rf'^\s*"{re.escape(key)}"\s*:' for key in path if isinstance(key, str)]
            ends = [found.end() for key in keys if (found := re.search(key, text, re.MULTILINE))]
            line = text.count("\n", 0, ends[-1] if ends else 0) + 1
            return ": ".join([f"{self._path / name}:{line}", *_dotted(path)])

        return place

    def _json(self, name: str, text: str, line: int = 0) -> Any:
        try:
            return load(text)
        except (ValueError, RecursionError) as error:
            where = f"{self._path / name}:{line or getattr(error, 'lineno', 1)}"
            raise _wrong(where, msg("not valid JSON")) from None

    def _text(self, name: str, most: int) -> str | None:
        """The text of a file of at most `most` bytes; None where there is no such file."""
        path = self._path / name
        try:
            with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
                content = file.read(most + 1)
            if len(content) > most:
                raise _wrong(path, msg("larger than {most} bytes", most=most))
            self._texts[name] = content.decode()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _wrong(path, error.strerror or "") from None
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise _wrong(f"{path}:{line}", msg("not UTF-8 text")) from None
        return self._texts[name]


def _dotted(path: _Path) -> list[str]:
    return [".".join(map(str, path))] if path else []


def _line_of_entry(text: str, number: int) -> int:
    """The line on which an entry of a list begins."""
    decoder, position = json.JSONDecoder(), text.index("[") + 1
    for _ in range(number):
        found = _SPACE.match(text, position)
        _, position = decoder.raw_decode(text, found.end() if found else position)
    found = _SPACE.match(text, position)
    return text.count("\n", 0, found.end() if found else position) + 1
