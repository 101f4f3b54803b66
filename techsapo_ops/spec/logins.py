"""What is secret and stands in a field that is not for secrets: a URL, or what is passed through as it is, a
receiver of Alertmanager's own form or the `extra_body` of a provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from techsapo_ops.messages import msg
from techsapo_ops.spec.fields import secret_places, sections
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import CompatibleProvider, GoogleProvider, KeyedProvider
from techsapo_ops.spec.problems import Path
from techsapo_ops.spec.secret import MASK

SECRET_KEY = re.compile(r"(?i)(key|token|token_id|secret|password|credential|authorization|ur[il])s?$")
"""Names whose values are taken for secrets."""
_NEVER = re.compile(r"(?i)(^(type|scheme|name|username|user|region|role_arn|profile)|_files?)$")
"""Names below a secret-sounding one whose values are no secrets: `authorization: {type: Bearer, …}`."""
_TOKENS = re.compile(r"(?i)tokens$")
"""Names that are no secrets where they have a number: `budget_tokens: 1024`."""
_LOGIN = re.compile(r"://[^/@\s]+@")
_PASSWORD = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_NAMED = r"[^=&#\s]*(?:key|token|secret|passw(?:or)?d|auth|sig)[^=&#\s]*="
_QUERY = re.compile(rf"(?i)://[^?#\s]*\?(?:[^#\s]*&)?{_NAMED}[^&#\s]")
_QUERY_VALUE = re.compile(rf"(?i)((?<=[?&]){_NAMED})[^&#\s]+")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_BARE = re.compile(r"https?://[^/?#\s]*/?")


def urls(spec: Spec, _: Context) -> Iterator[Finding]:
    """No login in a URL, which is shown, logged and handed on; beside an API key it breaks every call.

    Where it works it is a warning: a stack that has it goes on.
    """
    for name, provider in spec.providers.items():
        base_url = getattr(provider, "base_url", None)
        if provider.enabled and isinstance(base_url, str):
            yield from _base_url(("providers", name, "base_url"), provider, base_url)
    runbooks = spec.monitoring.runbook_url
    if runbooks is not None and _LOGIN.search(runbooks):
        where: Path = ("monitoring", "runbook_url")
        yield _warned(
            where,
            msg("the login in it goes out with every alert"),
            msg("leave it out: a browser asks for it"),
        )
    for name, certificate in spec.certificates.items():
        if _LOGIN.search(certificate.directory):
            yield _warned(
                ("certificates", name, "directory"), msg("a login in a URL can be read in the ledger"),
                msg("leave it out: an ACME account is known by its key (eab_key_id, eab_hmac_key_file)"),
            )  # fmt: skip
    for number, probe in enumerate(spec.monitoring.probes):
        if _QUERY.search(probe.url):
            yield _warned(
                ("monitoring", "probes", number, "url"),
                msg("the key in its query can be read in prometheus.yml and in the exporter's log"),
                msg(
                    "ask a page that wants none, or leave it out and take the refusal for well: `status: "
                    "[401]`"
                ),
            )
    offsite = spec.backup.offsite
    if offsite is not None and tells_password(offsite.restic):
        yield _warned(
            ("backup", "offsite", "restic"), msg("the password in it stands in the spec"),
            msg("write RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD_file below `environment`"),
        )  # fmt: skip


def _base_url(path: Path, provider: Any, base_url: str) -> Iterator[Finding]:
    keyed = isinstance(provider, KeyedProvider) and provider.api_key is not None
    works = isinstance(provider, GoogleProvider) or (isinstance(provider, CompatibleProvider) and not keyed)
    instead = msg("leave it out; let the proxy know you by api_key_file, or by this host's address")
    if _LOGIN.search(base_url) and not works:
        yield Finding(
            path, msg("holds a login, which can't be sent beside the API key: every call fails"), instead
        )
    elif _LOGIN.search(base_url):
        yield _warned(path, msg("holds a login in the open"), instead)
    if _QUERY.search(base_url):
        yield _warned(
            path, msg("holds a key in its query, which servers and proxies log"), msg("use api_key_file")
        )


def _warned(path: Path, message: str, hint: str) -> Finding:
    return Finding(path, message, hint, warning=True)


def tells_login(url: str) -> bool:
    """Whether whoever reads `url` has a login or a key by it."""
    return _LOGIN.search(url) is not None or _QUERY.search(url) is not None


def tells_password(url: str) -> bool:
    """Whether a password stands in the login of `url`."""
    return _PASSWORD.search(url) is not None


def open_secrets(spec: Spec, written: Mapping[str, Any]) -> frozenset[str]:
    """What is secret in a spec and stands in no field for secrets, as the values that hold it.

    URLs with a login or a key, secrets of what is passed through, and what `written`, the file as data, has
    as secrets for any environment.
    """
    found = {value for value in _texts(spec.model_dump()) if tells_login(value)}
    overlays = written.get("environments")
    for part in (written, *(overlays.values() if isinstance(overlays, Mapping) else ())):
        found |= written_secrets(part)
    for receiver in spec.notifications.receivers.values():
        found.update(secret_values(getattr(receiver, "config", None)))
    return frozenset(found | body_secrets(spec))


def body_secrets(spec: Spec) -> set[str]:
    """What is secret in the `extra_body` of providers."""
    bodies = [
        provider.extra_body for provider in spec.providers.values() if isinstance(provider, KeyedProvider)
    ]
    return {value for body in bodies for value in secret_values(body)}


def written_secrets(data: object) -> set[str]:
    """What is secret in a spec as data, where it stands in it itself."""
    found = {value for value in _texts(data) if tells_login(value)}
    for _, model, section in sections(data):
        places = secret_places(model, section)
        found.update(v for _, inner, key in places if isinstance(v := inner.get(key), str))
        if section.get("kind") == "alertmanager":
            found.update(secret_values(section.get("config")))
        if issubclass(model, KeyedProvider):
            found.update(secret_values(section.get("extra_body")))
    return {value.replace("$${", "${") for value in found if not _variable(value)}


def without_logins(text: str) -> str:
    """`text` with logins and keys masked that stand in URLs in it."""
    return _QUERY_VALUE.sub(lambda found: f"{found[1]}{MASK}", _USER_INFO.sub(MASK, text))


def masked_config(node: Any, hide: bool = False) -> Any:
    """What is passed through, without the values of keys that sound secret."""
    if isinstance(node, dict):
        return {key: masked_config(value, hide or _sounds_secret(key, value)) for key, value in node.items()}
    if isinstance(node, list):
        return [masked_config(value, hide) for value in node]
    return MASK if hide and isinstance(node, str | int) and not isinstance(node, bool) else node


def secret_values(node: Any, hide: bool = False) -> Iterator[str]:
    """Texts and numbers in what is passed through whose keys sound secret, and those below such keys."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            secret = (hide or _sounds_secret(key, value)) and not _NEVER.search(str(key))
            yield from secret_values(value, secret)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from secret_values(value, hide)
    elif hide and isinstance(node, str | int) and not isinstance(node, bool):
        text = str(node)
        if not _BARE.fullmatch(text) and not text.startswith("{{"):
            yield text


def _sounds_secret(key: object, value: object) -> bool:
    name = str(key)
    counts = isinstance(value, int) and _TOKENS.search(name) is not None
    return SECRET_KEY.search(name) is not None and not counts


def _variable(value: str) -> bool:
    return not value or value.replace("$${", "").startswith("${")


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node
