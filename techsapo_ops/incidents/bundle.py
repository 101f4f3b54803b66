"""A bundle: what was read about an incident, as a folder of plain files that anybody can make, read and keep.

    alert.json     what is investigated: a Material without what has a file of its own
    metrics.om     raw series as OpenMetrics text with timestamps
    logs.jsonl     one Line on each line
    changes.json   a list of Change
    facts.json     a list of Fact
    pages.json     a list of Page
    answer.json    the cause, where it is known: an Answer

All but alert.json may be missing. `bundle.schema.json` says what each value may be. A bundle may come from a
stranger: no link in the folder is followed, no file is read beyond its size.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.folders import new_file, open_file, opened, write_error
from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.field_types import CUT, Label, Sentence, few
from techsapo_ops.incidents.material import Kind, Material, Unread
from techsapo_ops.incidents.openmetrics import lines_of, text_of
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
MATERIAL_BYTES = 1_000_000
"""The largest JSON of a material, written as UTF-8."""
_SHARES: Mapping[str, float] = {"series": 0.3, "lines": 0.35, "changes": 0.15, "facts": 0.1, "pages": 0.05}
"""What of that each part may take."""
_PROBLEMS = {
    "missing": msg("is missing"),
    "unexpected_keyword_argument": msg("unknown key"),
    "string_too_long": msg("too long"),
    "too_long": msg("too long"),
    "timezone_aware": msg("must be a time with its zone, such as 2026-01-31T03:10:00Z"),
}


@dataclass(frozen=True, slots=True)
class Decisive:
    """A piece of evidence without which the cause can't be known: its text holds one of `contains`, whatever
    the case.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    kind: Kind
    contains: Annotated[tuple[Sentence, ...], few(20), Field(min_length=1, max_length=20)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an incident's cause.

    For a false alarm, `cause` says why it is one. Nobody can know the cause of an unsolvable one from what is
    in the bundle; then `cause` says what would be needed. `chain` leads from the cause to the symptom;
    `distractors` are what looks like the cause and is not.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    outcome: Literal["fault", "false_alarm", "unsolvable"]
    cause: Sentence
    service: Label = ""
    chain: Annotated[tuple[Sentence, ...], few(20), Field(max_length=20)] = ()
    decisive: Annotated[tuple[Decisive, ...], few(20), Field(max_length=20)] = ()
    distractors: Annotated[tuple[Sentence, ...], few(20), Field(max_length=20)] = ()


def write_bundle(folder: Path, material: Material, answer: Answer | None = None) -> None:
    """Write `material` as the new folder `folder`: whole, or not at all.

    What is longer than its field may be is cut. What is beyond MOST_BYTES is left out, and named in `unread`.
    Raises OpsError where there is something already, and where it can't be written.
    """
    if os.path.lexists(folder):
        raise OpsError(msg("{path} exists", path=folder), msg("name a folder that does not exist"))
    parts = _parts(material, MOST_BYTES)
    files = {
        NAMES["series"]: parts.pop("series").encode(),
        NAMES["lines"]: b"".join(dump(line) + b"\n" for line in parts.pop("lines")),
        **{NAMES[part]: _list(parts.pop(part)) for part in ("changes", "facts", "pages")},
        ALERT: _indented(parts),
    }
    if answer is not None:
        files[ANSWER] = _indented(_plain(answer))
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        _write(partial, files)
        partial.rename(folder)
        sync_directory(folder.parent)
    except OSError as error:
        raise write_error(folder, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_bundle(folder: Path) -> Material:
    """The material in `folder`. Raises OpsError, with the file and the place in it, for whatever is not as
    documented.
    """
    value = _object(folder / ALERT)
    if value is None:
        raise _wrong(folder / ALERT, msg("is missing"))
    if double := set(value) & set(NAMES):
        raise _wrong(folder / ALERT, msg("{key} belongs in its own file of the bundle", key=min(double)))
    for part, name in NAMES.items():
        text = _text(folder / name, MOST_BYTES[part])
        if text and part == "lines":
            lines = text.removesuffix("\n").split("\n")
            value[part] = [_json(f"{folder / name}:{number}", line) for number, line in enumerate(lines, 1)]
        elif text is not None and part != "lines":
            value[part] = text if part == "series" else _json(folder / name, text)
    material: Material = _checked(Material, value, lambda part: folder / NAMES.get(part, ALERT))
    return material


def read_answer(folder: Path) -> Answer | None:
    """The answer in `folder`; None where the cause is not known. Raises as read_bundle does."""
    value = _object(folder / ANSWER)
    if value is None:
        return None
    answer: Answer = _checked(Answer, value, lambda _: folder / ANSWER)
    return answer


def material_json(material: Material) -> dict[str, Any]:
    """`material` as a JSON value of at most MATERIAL_BYTES, as `adapters/jsons.py` (`dump`) writes it.

    What does not fit is left out as by `write_bundle`.
    """
    none: dict[str, Any] = dict.fromkeys(_SHARES, ())
    bare = bounded(replace(material, **none))
    room = max(0, MATERIAL_BYTES - len(dump(_plain(bare))) - 2_000)
    return _parts(material, {part: int(share * room) for part, share in _SHARES.items()})


def material_of(value: object) -> Material:
    """The material that `material_json` made `value` of. Raises OpsError for anything else."""
    material: Material = _checked(Material, value)
    return material


def bounded(material: Material) -> Material:
    """`material` as it comes back from a bundle: no control characters, and what is too long is cut."""
    adapter = _adapter(Material)
    cut: Material = adapter.validate_python(adapter.dump_python(material, by_alias=True), context=CUT)
    return cut


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    return TypeAdapter(of)


def _checked(of: Any, value: object, file_of: Callable[[str], Path] | None = None) -> Any:
    """`value` as an `of`. Raises OpsError for the first thing that is wrong, with its path in the value,
    whose indexes count from 0, and the file that `file_of` names by the first part of that path.
    """
    try:
        return _adapter(of).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = [str(each) for each in first["loc"]] or [""]
        where = ".".join(path)
        if file_of is not None:
            where = f"{file_of(path[0])}: {where}"
        raise _wrong(where, _PROBLEMS.get(first["type"], first["msg"])) from None


def _wrong(where: object, problem: str) -> OpsError:
    return OpsError(msg("{where}: {problem}", where=where, problem=problem))


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no such file. Raises OpsError."""
    text = _text(path, _OBJECT)
    value: Any = None if text is None else _json(path, text)
    if text is not None and not isinstance(value, dict):
        raise _wrong(path, msg("must be an object"))
    return value  # type: ignore[no-any-return]


def _json(where: object, text: str) -> Any:
    try:
        return load(text)
    except (ValueError, RecursionError):
        raise _wrong(where, msg("not valid JSON")) from None


def _text(path: Path, most: int) -> str | None:
    """The text of a file of at most `most` bytes; None where there is no such file."""
    try:
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise _wrong(path, msg("larger than {most} bytes", most=most))
        return content.decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _wrong(path, error.strerror or "") from None
    except UnicodeDecodeError:
        raise _wrong(path, msg("not UTF-8 text")) from None


def _plain(value: object) -> Any:
    kind: Any = type(value)
    return _adapter(kind).dump_python(value, mode="json", by_alias=True, exclude_defaults=True)


def _parts(material: Material, sizes: Mapping[str, int]) -> dict[str, Any]:
    """`material` as JSON, each part within its size; `unread` says what was left out."""
    whole = bounded(material)
    parts: dict[str, Any] = {}
    left = []
    for part, size in sizes.items():
        values = getattr(whole, part)
        parts[part] = _fitting(values, size, whole.subject.began)
        if missing := len(values) - len(parts[part]):
            left.append(Unread(part, msg("{count} left out: too large", count=missing)))
    more: dict[str, Any] = _plain(replace(whole, **parts, unread=(*left, *whole.unread)[:100]))
    empty: dict[str, Any] = {**{part: [] for part in sizes}, "series": text_of(())}
    return empty | more


def _fitting(values: Sequence[Any], size: int, began: datetime) -> tuple[Any, ...]:
    """What of `values` has room: what is nearest to the beginning of the alert first."""
    kept = []
    for number in sorted(range(len(values)), key=lambda n: abs(getattr(values[n], "at", began) - began)):
        value = values[number]
        size -= len(dump(lines_of(value) if isinstance(value, Series) else _plain(value))) + 2
        if size < 0:
            break
        kept.append(number)
    return tuple(values[number] for number in sorted(kept))


def _indented(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def _list(values: Sequence[object]) -> bytes:
    return b"[\n" + b",\n".join(map(dump, values)) + b"\n]\n"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700)
    with opened(folder) as descriptor:
        for name, content in files.items():
            with new_file(descriptor, name, 0o600) as file:
                file.write(content)
        os.fsync(descriptor)
