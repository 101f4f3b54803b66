"""The spec as plain data again: for people with its secrets masked, for the app with secrets as files.

Secret is also what stands in a field that is not for secrets: a URL, or what is passed through as it is, a
receiver of Alertmanager's own form or the `extra_body` of a provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from pydantic import BaseModel

from techsapo_ops.masking import MASK
from techsapo_ops.masking.fields import (
    has_key,
    has_login,
    has_password,
    has_secret,
    masked_fields,
    secret_values,
    texts,
    with_texts,
    without_logins,
)
from techsapo_ops.messages import msg
from techsapo_ops.spec.fields import key_of, secret_places, sections
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import CompatibleProvider, GoogleProvider, KeyedProvider
from techsapo_ops.spec.problems import Context, Finding, Path, dotted
from techsapo_ops.spec.secret import Secret

_SecretText = Callable[[Path, Secret], tuple[str, str]]


def secrets_of(spec: Spec) -> Mapping[str, Secret]:
    """Every secret of the spec by its dotted path (`notifications.receivers.team.url`), in its order."""
    secrets: dict[str, Secret] = {}

    def note(path: Path, secret: Secret) -> tuple[str, str]:
        secrets[dotted(path)] = secret
        return str(path[-1]), MASK

    _plain(spec, note)
    return secrets


def resolved(spec: Spec) -> dict[str, Any]:
    """The spec with every default filled in and nothing secret in it.

    A secret from a file is shown as that file, any other as a mask; so are user names and passwords in
    URLs and, in what is passed through as it is, the values of keys that sound secret.
    """

    def mask(path: Path, secret: Secret) -> tuple[str, str]:
        return (f"{path[-1]}_file", secret.file) if secret.file is not None else (str(path[-1]), MASK)

    return _masked(_plain(spec, mask))


def to_yaml_data(spec: Spec, secret_path: Callable[[str], str]) -> dict[str, Any]:
    """The spec as data that `load` reads again, each secret X replaced by `X_file`.

    `secret_path` gives the path of that file for the dotted path of the secret.
    """

    def by_file(path: Path, _: Secret) -> tuple[str, str]:
        return f"{path[-1]}_file", secret_path(dotted(path))

    return _plain(spec, by_file)


def as_given(spec: Spec) -> dict[str, Any]:
    """What the user gave, as data that `load` reads again: another version fills in its own defaults.

    Secrets stand in it as they were given, in the open or as the name of their file.
    """

    def given(path: Path, secret: Secret) -> tuple[str, str]:
        by_file = (f"{path[-1]}_file", secret.file) if secret.file is not None else None
        return by_file or (str(path[-1]), secret.reveal())

    return _plain(spec, given, given=True)


def _plain(spec: Spec, secret: _SecretText, given: bool = False) -> dict[str, Any]:
    data: dict[str, Any] = _data(spec, (), secret, given)
    return data


def _data(node: Any, path: Path, secret: _SecretText, given: bool) -> Any:
    if isinstance(node, tuple | list):
        return [_data(value, (*path, n), secret, given) for n, value in enumerate(node)]
    if not isinstance(node, BaseModel | Mapping):
        return _escaped(node) if isinstance(node, str) else node
    data: dict[str, Any] = {}
    for key, value in _fields(node, given) if isinstance(node, BaseModel) else node.items():
        if isinstance(value, Secret):
            written, text = secret((*path, key), value)
            data[written] = _escaped(text)
        elif path or key != "environments":
            data[key] = _data(value, (*path, key), secret, given)
    return data


def _fields(section: BaseModel, given: bool) -> Iterator[tuple[str, Any]]:
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        asked_for = not given or name in section.model_fields_set
        if asked_for and not (value is None and info.default is None and info.default_factory is None):
            yield key_of(name, info), value


def _escaped(text: str) -> str:
    return text.replace("${", "$${")


def _masked(data: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = with_texts(data, without_logins)
    for receiver in shown["notifications"]["receivers"].values():
        if receiver["kind"] == "alertmanager":
            receiver["config"] = masked_fields(receiver["config"])
    for provider in shown["providers"].values():
        if "extra_body" in provider:
            provider["extra_body"] = masked_fields(provider["extra_body"])
    return shown


def urls(spec: Spec, _: Context) -> Iterator[Finding]:
    """No login in a URL, which is shown, logged and handed on; beside an API key it breaks every call.

    Where it works it is a warning: a stack that has it goes on.
    """
    for name, provider in spec.providers.items():
        base_url = getattr(provider, "base_url", None)
        if provider.enabled and isinstance(base_url, str):
            yield from _base_url(("providers", name, "base_url"), provider, base_url)
    runbooks = spec.monitoring.runbook_url
    if runbooks is not None and has_login(runbooks):
        where: Path = ("monitoring", "runbook_url")
        yield _warned(
            where,
            msg("contains a login, which is sent with every alert"),
            msg("remove the login: the browser asks for it"),
        )
    for name, certificate in spec.certificates.items():
        if has_login(certificate.directory):
            yield _warned(
                ("certificates", name, "directory"), msg("contains a login, which can be read in the ledger"),
                msg(
                    "remove the login: an ACME account is identified by its key (eab_key_id, "
                    "eab_hmac_key_file)"
                ),
            )  # fmt: skip
    for number, probe in enumerate(spec.monitoring.probes):
        if has_key(probe.url):
            yield _warned(
                ("monitoring", "probes", number, "url"),
                msg(
                    "contains a key in its query, which can be read in prometheus.yml and in the exporter's "
                    "log"
                ),
                msg(
                    "probe a page that needs no key, or remove the key and expect a refusal: `status: [401]`"
                ),
            )
    offsite = spec.backup.offsite
    if offsite is not None and has_password(offsite.restic):
        yield _warned(
            ("backup", "offsite", "restic"), msg("contains a password, which can be read in the spec"),
            msg("write RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD_file below `environment`"),
        )  # fmt: skip


def _base_url(path: Path, provider: Any, base_url: str) -> Iterator[Finding]:
    keyed = isinstance(provider, KeyedProvider) and provider.api_key is not None
    works = isinstance(provider, GoogleProvider) or (isinstance(provider, CompatibleProvider) and not keyed)
    instead = msg(
        "remove the login; instead, let the proxy check the key in api_key_file, or admit this host by its "
        "address"
    )
    if has_login(base_url) and not works:
        yield Finding(
            path,
            msg("contains a login, which can't be sent together with the API key: every call fails"),
            instead,
        )
    elif has_login(base_url):
        yield _warned(path, msg("contains a login in plain text"), instead)
    if has_key(base_url):
        yield _warned(
            path,
            msg("contains a key in its query, and servers and proxies log queries"),
            msg("use api_key_file"),
        )


def _warned(path: Path, message: str, hint: str) -> Finding:
    return Finding(path, message, hint, warning=True)


def open_secrets(spec: Spec, written: Mapping[str, Any]) -> frozenset[str]:
    """What is secret in a spec and stands in no field for secrets, as the values that hold it.

    URLs with a login or a key, secrets of what is passed through, and what `written`, the file as data, has
    as secrets for any environment.
    """
    secrets = {value for value in texts(spec.model_dump()) if has_secret(value)} | written_secrets(written)
    for receiver in spec.notifications.receivers.values():
        secrets.update(secret_values(getattr(receiver, "config", None)))
    return frozenset(secrets | body_secrets(spec))


def body_secrets(spec: Spec) -> set[str]:
    """What is secret in the `extra_body` of providers."""
    bodies = [
        provider.extra_body for provider in spec.providers.values() if isinstance(provider, KeyedProvider)
    ]
    return {value for body in bodies for value in secret_values(body)}


def written_secrets(data: object) -> set[str]:
    """What is secret in a spec as data, of any environment, where it stands in it itself."""
    secrets = {value for value in texts(data) if has_secret(value)}
    overlays = data.get("environments") if isinstance(data, Mapping) else None
    parts = (data, *(overlays.values() if isinstance(overlays, Mapping) else ()))
    for _, model, section in chain.from_iterable(map(sections, parts)):
        places = secret_places(model, section)
        secrets.update(v for _, inner, key in places if isinstance(v := inner.get(key), str))
        if section.get("kind") == "alertmanager":
            secrets.update(secret_values(section.get("config")))
        if issubclass(model, KeyedProvider):
            secrets.update(secret_values(section.get("extra_body")))
    return {value.replace("$${", "${") for value in secrets if not _variable(value)}


def _variable(value: str) -> bool:
    return not value or value.replace("$${", "").startswith("${")
