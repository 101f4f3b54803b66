"""What every test of the spec room shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from techsapo_ops.spec.load import LoadedSpec, load

Loader = Callable[..., LoadedSpec]


@pytest.fixture(scope="session")
def loaded() -> Loader:
    """`load` with secret files given as a mapping."""

    def run(
        text: str | bytes,
        *,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        environment: str | None = None,
    ) -> LoadedSpec:
        def read_secret(path: str) -> str:
            if path not in (files or {}):
                raise FileNotFoundError(2, "No such file or directory")
            return (files or {})[path]

        return load(text, env or {}, read_secret, environment=environment)

    return run
