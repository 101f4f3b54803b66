"""Every path that a spec names: in the home folder of a user that is not there it is an error of the spec."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.spec.fields import ROOT, Shape, fields_of, literals, secrets_in, shape
from techsapo_ops.spec.load import LoadedSpec, SpecError
from techsapo_ops.spec.models.base import Means
from techsapo_ops.spec.problems import Path, dotted
from techsapo_ops.spec.secret import Secret

Loader = Callable[..., LoadedSpec]


def path_fields(here: Shape) -> Iterator[tuple[Path, Any]]:
    """Where a path can stand at or below `here`, and data that has one there and nothing else."""
    if any(isinstance(each, Means) and each.words == "path" for each in here.constraints):
        yield (), "~nouser/x"
    if here.items is not None:
        for path, data in path_fields(shape(here.items)):
            yield (0, *path), [data]
    if here.entries is not None:
        below = shape(here.entries)
        if below.type is Secret:
            yield ("A_file",), {"A_file": "~nouser/x"}
        for path, data in path_fields(below):
            yield ("a", *path), {"a": data}
    for model in here.models:
        kind = {"kind": literals(fields_of(model)["kind"].type)[0]} if len(here.models) > 1 else {}
        for key in secrets_in(model):
            yield (f"{key}_file",), {**kind, f"{key}_file": "~nouser/x"}
        for key, below in fields_of(model).items():
            for path, data in path_fields(below) if key != "environments" else ():
                yield (key, *path), {**kind, key: data}


PATHS = list(path_fields(ROOT))


def test_the_paths_of_every_section_are_found() -> None:
    found = {dotted(path) for path, _ in PATHS}
    assert found >= {
        "template_overrides",
        "redis.password_file",
        "app.auth.keys_file",
        "app.tracing.headers.A_file",
        "wallbounce.calibration",
        "backup.path",
        "backup.paths.0",
        "certificates.a.certificate_file",
        "monitoring.probes.0.ca_file",
        "monitoring.rules.0",
        "notifications.receivers.a.url_file",
        "providers.a.api_key_file",
    }


@each_row("path, data", PATHS, ids=[dotted(path) for path, _ in PATHS])
def test_a_path_of_a_user_that_is_not_there_is_an_error_of_the_spec(
    path: Path, data: dict[str, Any], loaded: Loader
) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(json.dumps({"project": "x", **data}))
    told = {problem.path: f"{problem.message}; {problem.hint}" for problem in caught.value.problems}
    assert (
        told[dotted(path)] == "there is no user 'nouser' on this host; write the full path, starting with /"
    )


@each_row("user", ["\\u0000", "\\ud800"])
def test_a_user_whose_name_nobody_can_have_is_told_too(user: str, loaded: Loader) -> None:
    with pytest.raises(SpecError):
        loaded(f'project: x\nbackup: {{path: "~{user}/x"}}\nredis: {{password_file: "~{user}/x"}}\n')


def test_a_home_folder_that_nobody_knows_is_told(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", str)  # as of a user whom the host does not know
    with pytest.raises(SpecError) as caught:
        loaded("project: x\nbackup: {path: ~/x}\n")
    assert "the home folder of the user who runs this command is not known" in caught.value.message


def test_a_home_folder_that_is_there_is_taken_as_it_is_written(loaded: Loader) -> None:
    assert loaded("project: x\nbackup: {path: ~root/x}\n").spec.backup.path == "~root/x"
