"""The spec as plain data again: for people with its secrets masked, for the app with secrets as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from techsapo_ops.masking import MASK
from techsapo_ops.masking.fields import masked_fields, without_logins
from techsapo_ops.spec.fields import key_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Path, dotted
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
    shown: dict[str, Any] = _without_logins(data)
    for receiver in shown["notifications"]["receivers"].values():
        if receiver["kind"] == "alertmanager":
            receiver["config"] = masked_fields(receiver["config"])
    for provider in shown["providers"].values():
        if "extra_body" in provider:
            provider["extra_body"] = masked_fields(provider["extra_body"])
    return shown


def _without_logins(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logins(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_logins(value) for value in node]
    return without_logins(node) if isinstance(node, str) else node
