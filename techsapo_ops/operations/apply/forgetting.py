"""What the ledger does not keep for ever: secrets that are none any more (decision 33).

A snapshot that is not among the newest is written anew without the secrets that none of those has. It names
its secret files on, with digests, and marks those whose contents are gone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from techsapo_ops.backup.secret_files import forms
from techsapo_ops.spec.fields import secret_places, sections
from techsapo_ops.spec.logins import masked_config, tells_login, without_logins, written_secrets
from techsapo_ops.spec.models.notifications import RawReceiver
from techsapo_ops.spec.secret import MASK

_MARK = "forgotten"


@dataclass(frozen=True, slots=True)
class Alive:
    """What the newest snapshots hold: values of secrets, and digests of secret files."""

    values: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()

    @classmethod
    def of(cls, documents: Iterable[bytes], made: Iterable[str]) -> Alive:
        """That of frozen snapshots, with the secrets that the tool `made` itself."""
        found = [json.loads(document) for document in documents]
        values = {value for each in found for value in _values(each)} | {value for value in made if value}
        digests = {f["digest"] for each in found for f in each["files"] if f["secret"]}
        return cls(frozenset(values - {MASK}), frozenset(digests))


def without_stale(document: bytes, alive: Alive, content: Callable[[str], bytes]) -> bytes | None:
    """A frozen snapshot without the secrets that are not in `alive`; None where it has none.

    A secret file stays where its content, which `content` gives by digest, holds a secret that is alive and
    none that is not: what is secret in any other is unknown.
    """
    value = json.loads(document)
    stale = _values(value) - alive.values - {MASK}
    gone = [f for f in value["files"] if f["secret"] and not f.get(_MARK) and _goes(f, stale, alive, content)]
    if not stale and not gone:
        return None
    for file in gone:
        file[_MARK] = True
    value["secrets"] = {k: MASK if v in stale else v for k, v in value["secrets"].items()}
    value["spec"] = _masked(value["spec"], stale)
    value["given"]["spec"] = _masked(value["given"]["spec"], stale)
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()


def lost(document: bytes) -> tuple[str, ...]:
    """What a frozen snapshot no longer has: the spec's fields and the files, by name."""
    value = json.loads(document)
    fields = [path for path, secret in value["secrets"].items() if secret == MASK]
    return (*fields, *(file["path"] for file in value["files"] if file.get(_MARK)))


def forgotten_digests(document: bytes) -> Mapping[str, str]:
    """Digests of the files whose contents are no longer kept, by path."""
    return {f["path"]: f["digest"] for f in json.loads(document)["files"] if f.get(_MARK)}


def _values(value: Mapping[str, Any]) -> set[str]:
    specs = (value["spec"], value["given"]["spec"])
    return {*value["secrets"].values(), *(secret for spec in specs for secret in written_secrets(spec))}


def _goes(file: Mapping[str, Any], stale: set[str], alive: Alive, content: Callable[[str], bytes]) -> bool:
    if file["digest"] in alive.digests:
        return False
    text = content(file["digest"])
    return _holds(text, stale) or not _holds(text, alive.values)


def _holds(text: bytes, values: Iterable[str]) -> bool:
    return any(form.encode() in text for value in values for form in forms(value))


def _masked(spec: dict[str, Any], stale: set[str]) -> dict[str, Any]:
    """A spec as data with these values masked, so that it still loads."""
    for _, model, section in sections(spec):
        for _, inner, key in secret_places(model, section):
            if str(inner.get(key, "")).replace("$${", "${") in stale:
                inner[key] = MASK
        if model is RawReceiver and stale & set(written_secrets(section)):
            section["config"] = masked_config(section["config"])
    found: dict[str, Any] = _each(spec, stale)
    return found


def _each(node: Any, stale: set[str]) -> Any:
    if isinstance(node, dict):
        return {key: _each(value, stale) for key, value in node.items()}
    if isinstance(node, list):
        return [_each(value, stale) for value in node]
    return without_logins(node) if isinstance(node, str) and node in stale and tells_login(node) else node
