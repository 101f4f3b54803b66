"""What gives the right to acknowledge an alert by a link: a signature of the stack, the alert and its start.

Neither Prometheus nor Alertmanager can sign, but a template can look up. So the signature is made of parts,
one for each field of the start (day of the year, hour, minute, second), and each alert's parts for every
value stand in a template that Alertmanager alone reads. A link shows the parts of its own start: one of
before lacks those of another start, which its receivers can't make. The day is one part, so that links of
two months, put together, are no third day.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.mac import mac, same
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology

KEY = "acknowledge-key"
"""The name under which a container of the app gets the key."""
SIGNATURES = "acknowledge.tmpl"
"""The name under which a container of Alertmanager gets the signatures."""
_PART_BYTES = 3
"""Enough where tries are few: 300 a minute in all, while something fires that went on at the start."""
_YEARS = range(2025, 2100)
_FIELDS = (("YearDay", 367), ("Hour", 24), ("Minute", 60), ("Second", 60))
"""Of a start in UTC, as Go calls them; each is less than the number beside it."""
_LONGEST_START = 11
_LINES = ("techsapo.acknowledge", "techsapo.slack.acknowledge")
"""Templates of signed links; each hands on to the one of its name and `.line`, which knows the words."""
_PATH = "techsapo.acknowledge.path"
_YEAR = "techsapo.acknowledge.year"
FORMAT = "signatures 1"
"""Another one for each way to write the template: by it one of before is told from what is made now."""


def signs(topology: Topology) -> bool:
    """Whether messages of the stack have such links: somebody sends them, and the app can act on them."""
    return all(topology.has(kind) for kind in ("app", "prometheus", "alertmanager"))


def key_file(layout: Layout) -> Path:
    """The key, for the tool itself. Where it was removed, the next start makes another, and links of before
    are worthless; until then the app goes on by its copy.
    """
    return layout.keys / KEY


def key_of_app(layout: Layout) -> Path:
    """The app's copy of it, which is read for each request."""
    return layout.keys / f"{KEY}.app"


def signatures_file(layout: Layout) -> Path:
    """What Alertmanager reads. It is no rendered file: it holds secrets, and is in no plan."""
    return layout.keys / SIGNATURES


def signatures_seen(topology: Topology) -> Path:
    """Where Alertmanager finds it."""
    return topology.places.seen(signatures_file(topology.layout), topology.secret_path(SIGNATURES))


def key_options(topology: Topology) -> tuple[str, ...]:
    """`--acknowledge-key FILE` for the app, as it sees it."""
    if not signs(topology):
        return ()
    return (f"--{KEY}", str(topology.places.seen(key_of_app(topology.layout), topology.secret_path(KEY))))


def given(topology: Topology, reader: str) -> Mapping[str, Path]:
    """Of these files, those of a service of kind `reader`, by the name under which a container gets each."""
    if not signs(topology):
        return {}
    layout = topology.layout
    files = {"app": {KEY: key_of_app(layout)}, "alertmanager": {SIGNATURES: signatures_file(layout)}}
    return files.get(reader, {})


def signature(key: bytes, project: str, alert: str, start: int) -> str:
    """The right to acknowledge `alert` of the stack `project` that began at `start`, in Unix seconds, and
    nothing else.
    """
    began = datetime.fromtimestamp(start, UTC)
    values = (began.timetuple().tm_yday, began.hour, began.minute, began.second)
    parts = [_part(key, project, alert, field, v) for (field, _), v in zip(_FIELDS, values, strict=True)]
    return f"{start}.{_part(key, project, 'Year', began.year)}{''.join(parts)}"


def signed_start(given: str, key: bytes, project: str, alert: str) -> int | None:
    """The start of the alert for which `given` is that signature; None where it is none."""
    start = given.partition(".")[0]
    if not (start.isascii() and start.isdigit() and len(start) <= _LONGEST_START):
        return None
    expected = signature(key, project, alert, int(start))
    return int(start) if same(given, expected) else None


def signatures(key: bytes, project: str, names: Iterable[str]) -> str:
    """The template with the signed links of each alert, which is what it is called with; it takes a while."""
    known = tuple(names)
    body = "".join((*_years(key, project), *_paths(key, project, known), *_lines(known)))
    return f"{_seal(key, project, known, body)}\n{body}"


def are_signatures(text: str, key: bytes, project: str, names: Iterable[str]) -> bool:
    """Whether `text` is what `signatures` makes of the same, told by its first line."""
    seal, _, body = text.partition("\n")
    return same(seal, _seal(key, project, names, body))


def _seal(key: bytes, project: str, names: Iterable[str], body: str) -> str:
    return f"{{{{/* {mac(key, FORMAT, project, *names, body).hex()} */}}}}"


def _part(key: bytes, project: str, *of: object) -> str:
    digest = mac(key, "acknowledge", project, *map(str, of))
    return base64.urlsafe_b64encode(digest[:_PART_BYTES]).decode("ascii")


def _years(key: bytes, project: str) -> Iterator[str]:
    yield f'{{{{ define "{_YEAR}" -}}}}\n'
    for number, year in enumerate(_YEARS):
        word = "else if" if number else "if"
        yield f"{{{{- {word} eq . {year} }}}}{_part(key, project, 'Year', year)}\n"
    yield "{{- end }}\n{{- end }}\n"


def _paths(key: bytes, project: str, names: Iterable[str]) -> Iterator[str]:
    yield f'{{{{ define "{_PATH}" -}}}}\n{{{{ $start := .StartsAt.UTC -}}}}\n'
    for number, name in enumerate(names):
        word = "else if" if number else "if"
        yield f'{{{{- {word} eq .Labels.alertname "{name}" -}}}}\n/alerts/{name}/acknowledge?signature='
        yield f'{{{{ $start.Unix }}}}.{{{{ template "{_YEAR}" $start.Year }}}}\n'
        for field, size in _FIELDS:
            parts = " ".join(f'"{_part(key, project, name, field, value)}"' for value in range(size))
            yield f"{{{{- index (stringSlice {parts}) $start.{field} }}}}\n"
    yield "{{- end }}\n{{- end }}\n"


def _lines(names: Iterable[str]) -> Iterator[str]:
    pattern = f"^(?:{'|'.join(names)})$"
    for line in _LINES:
        yield f'{{{{ define "{line}" -}}}}\n{{{{- if match "{pattern}" (or .Labels.alertname "") }}}}'
        yield f'{{{{ template "{line}.line" . }}}}{{{{ end }}}}\n{{{{- end }}}}\n'
