"""What is secret in data by the name of its field, and in a URL by its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from techsapo_ops.masking import MASK

_SECRET_KEY = re.compile(r"(?i)(key|token|token_id|secret|password|credential|authorization|ur[il])s?$")
"""Names whose values are taken for secrets."""
_NEVER = re.compile(r"(?i)(^(type|scheme|name|username|user|region|role_arn|profile)|_files?)$")
"""Names below a secret-sounding one whose values are no secrets: `authorization: {type: Bearer, …}`."""
_TOKENS = re.compile(r"(?i)tokens$")
"""Names that are no secrets where they have a number: `budget_tokens: 1024`."""
_BARE = re.compile(r"https?://[^/?#\s]*/?")
_NAMED = r"[^=&#\s]*(?:key|token|secret|passw(?:or)?d|auth|sig)[^=&#\s]*="
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_PASSWORD = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_QUERY = re.compile(rf"(?i)://[^?#\s]*\?(?:[^#\s]*&)?{_NAMED}[^&#\s]")
_QUERY_VALUE = re.compile(rf"(?i)((?<=[?&]){_NAMED})[^&#\s]+")
_URL = re.compile(
    r"://(?:[^/@\s:]*:(?P<password>[^/@\s]+)@|[^/@\s]*@)?[^/?#\s]*(?P<path>[^?#\s]*)(?P<query>\??[^#\s]*)"
)
_UNLIKE_A_WORD = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w.~-]{8,}|[\w~-]{20,}")
"""What may be the secret of a webhook in a URL's path or query: no word, which stands in many places."""

_SECRET = re.compile(r"^[ \t]{0,40}(?:- )?\"?kind\"?:[ \t]{0,8}[\"']?Secret[\"']?[ \t,]{0,8}$", re.MULTILINE)
_DOCUMENT = re.compile(r"^---[ \t]{0,8}$", re.MULTILINE)
_SECTION = re.compile(r"^([ \t]{0,40})\"?(?:data|stringData)\"?:[ \t{]{0,8}$")
_ENTRY = re.compile(r"^([ \t]{1,60})[\"']?[\w.-]{1,253}[\"']?:[ \t]{0,8}[\"']?([^\s\"']{1,65536})")


def has_login(url: str) -> bool:
    """Whether `url` holds a login: a user, a password, or a key in their place."""
    return _USER_INFO.search(url) is not None


def has_password(url: str) -> bool:
    """Whether a password stands in the login of `url`."""
    return _PASSWORD.search(url) is not None


def has_key(url: str) -> bool:
    """Whether a key stands in the query of `url`."""
    return _QUERY.search(url) is not None


def has_secret(url: str) -> bool:
    """Whether whoever reads `url` has a login or a key by it."""
    return has_login(url) or has_key(url)


def url_secrets(text: str) -> Iterator[str]:
    """What is secret in the URLs of `text` and may stand elsewhere without them: a password, as it is written
    and as it is meant, and what a webhook is known by.
    """
    for url in _URL.finditer(text):
        if url["password"] is not None:
            yield url["password"]
            yield unquote(url["password"])
        for part in re.split(r"[/?&=;:]", url["path"] + url["query"]):
            if _UNLIKE_A_WORD.fullmatch(part):
                yield part


def without_logins(text: str) -> str:
    """`text` with logins and keys masked that stand in URLs in it."""
    return _QUERY_VALUE.sub(lambda key: f"{key[1]}{MASK}", _USER_INFO.sub(MASK, text))


def secret_values(node: Any) -> Iterator[str]:
    """Texts and numbers in data whose names sound secret, and those below such names."""
    secrets: list[str] = []
    _changed(node, secrets.append, hide=False)
    yield from secrets


def masked_fields(node: Any) -> Any:
    """`node` with what `secret_values` finds in it masked."""
    return _changed(node, lambda _: None, hide=False)


def texts(node: object) -> Iterator[str]:
    """Every text in data."""
    if isinstance(node, Mapping):
        node = tuple(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def _changed(node: Any, secret: Callable[[str], None], hide: bool) -> Any:
    """`node` with its secrets masked, each of which `secret` is called with."""
    if isinstance(node, Mapping):
        return {
            key: _changed(value, secret, (hide or _sounds_secret(key, value)) and not _NEVER.search(str(key)))
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [_changed(value, secret, hide) for value in node]
    if not hide or not isinstance(node, str | int) or isinstance(node, bool):
        return node
    text = str(node)
    if _BARE.fullmatch(text) or text.startswith("{{"):
        return node
    secret(text)
    return MASK


def _sounds_secret(key: object, value: object) -> bool:
    name = str(key)
    counts = isinstance(value, int) and _TOKENS.search(name) is not None
    return _SECRET_KEY.search(name) is not None and not counts


def manifest_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where in `text` values stand below `data` and `stringData` of Kubernetes' `kind: Secret`."""
    if "Secret" not in text or not _SECRET.search(text):
        return
    start = 0
    for mark in (*_DOCUMENT.finditer(text), None):
        end = len(text) if mark is None else mark.start()
        if _SECRET.search(text, start, end):
            yield from _manifest_values(text, start, end)
        start = end if mark is None else mark.end()


def _manifest_values(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    indent: int | None = None
    for line in text[start:end].splitlines(keepends=True):
        section = _SECTION.match(line.rstrip("\n"))
        entry = _ENTRY.match(line)
        if section:
            indent = len(section[1])
        elif indent is not None and entry and len(entry[1]) > indent:
            if entry[2] not in "|>{":
                yield start + entry.start(2), start + entry.end(2)
        elif line.strip() and len(line) - len(line.lstrip()) <= (indent or 0):
            indent = None
        start += len(line)


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """`value`, plain data, with each text in it as `change` makes it; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [with_texts(each, change) for each in value]
    if isinstance(value, Mapping):
        return {key: with_texts(each, change) for key, each in value.items()}
    return value
