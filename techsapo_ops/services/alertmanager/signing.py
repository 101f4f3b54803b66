"""What gives the right to acknowledge an alert by a link: a signature of the stack and the alert's name.

Neither Prometheus nor Alertmanager can sign. So the signatures of all alerts stand in a template that
Alertmanager alone reads, and messages ask it for theirs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology

KEY = "acknowledge-key"
"""The name under which a container of the app gets the key."""
SIGNATURES = "acknowledge.tmpl"
"""The name under which a container of Alertmanager gets the signatures."""
_BYTES = 18
_LINES = ("techsapo.acknowledge", "techsapo.slack.acknowledge")
"""Templates of signed links; each hands on to the one of its name and `.line`, which knows the words."""


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


def told_key(topology: Topology) -> tuple[str, ...]:
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


def signature(key: bytes, project: str, alert: str) -> str:
    """The right to acknowledge `alert` of the stack `project`, and nothing else."""
    words = "\0".join(("acknowledge", project, alert)).encode()
    digest = hmac.digest(key, words, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_BYTES]).decode("ascii")


def is_signed(given: str, key: bytes, project: str, alert: str) -> bool:
    """Whether `given` is that signature."""
    return hmac.compare_digest(given.encode(), signature(key, project, alert).encode())


def path_of(alert: str, signed: str) -> str:
    """Where a signed link leads, below the address of the app's pages."""
    return f"/alerts/{alert}/acknowledge?signature={signed}"


def signatures(key: bytes, project: str, names: Iterable[str]) -> str:
    """The template with the signed link of each alert."""
    paths = {name: path_of(name, signature(key, project, name)) for name in names}
    return "".join(line for template in _LINES for line in _chosen(template, paths))


def _chosen(template: str, paths: Mapping[str, str]) -> Iterator[str]:
    yield f'{{{{ define "{template}" -}}}}\n'
    for number, (name, path) in enumerate(paths.items()):
        word = "else if" if number else "if"
        yield f'{{{{- {word} eq . "{name}" }}}}{{{{ template "{template}.line" "{path}" }}}}\n'
    yield "{{- end }}\n{{- end }}\n"
