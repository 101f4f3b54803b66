"""What `techsapo providers test` found last, stored with the stack, for `doctor` and `up`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec

COMMAND = "techsapo providers test"
_IMMATERIAL = frozenset({"enabled", "api_key", "attempts", "price"})
"""Fields of a provider's section after whose change a test still counts. The key is not kept, not even as a
digest, so that a new one is not seen."""


@dataclass(frozen=True, slots=True)
class KeptTest:
    """How a provider did when it was tested last.

    `outcome` is ok, warning or failed, `told` what was the matter and `remedy` what to do. `section` is the
    digest of what the spec said of the provider, `ends` the end of its model as known then, by the vendor's
    list or the catalogue.
    """

    at: datetime
    outcome: str
    told: str
    remedy: str
    section: str
    ends: date | None = None


@dataclass(frozen=True, slots=True)
class TestedProvider:
    """A real provider of the spec and its last test: None where it was not tested as it is now.

    `changed` says that it was tested before its section changed.
    """

    name: str
    test: KeptTest | None
    changed: bool = False


def section_digest(section: Any) -> str:
    """A digest of what a provider's `section` says, without its secrets."""
    plain = section.model_dump(mode="json", exclude=_IMMATERIAL)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


_TESTS: TypeAdapter[dict[str, KeptTest]] = TypeAdapter(dict[str, KeptTest])


def kept_tests(file: Path) -> Mapping[str, KeptTest]:
    """The tests in `file` by provider; none where there is none. Raises OpsError where it can't be read."""
    try:
        return _TESTS.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OpsError(
            msg("cannot read {file}: {strerror}", file=file, strerror=error.strerror),
            msg("run as its owner, or `{command}`", command=COMMAND),
        ) from None
    except ValueError:
        raise OpsError(
            msg("{file} holds no tests of providers", file=file),
            msg("remove it; `{command}` makes it anew", command=COMMAND),
        ) from None


def keep_tests(file: Path, tests: Mapping[str, KeptTest]) -> None:
    """Write `tests` to `file`. Raises OpsError where it can't be written."""
    value = _TESTS.dump_python(dict(tests), mode="json")
    write_atomic(file, json.dumps(value, ensure_ascii=False, indent=2).encode(errors="replace") + b"\n")


def tested_providers(spec: Spec, file: Path) -> list[TestedProvider]:
    """The real providers that `spec` asks, each with its test. Raises OpsError where `file` can't be read."""
    real = {
        name: section for name, section in spec.providers.items() if section.enabled and not section.simulated
    }
    if not real:
        return []
    kept = kept_tests(file)
    return [_matched(name, section, kept.get(name)) for name, section in real.items()]


def untested(spec: Spec, file: Path) -> bool:
    """Whether a real provider of `spec` was not tested as it is now, as far as `file` can be read."""
    try:
        return any(provider.test is None for provider in tested_providers(spec, file))
    except OpsError:
        return True


def _matched(name: str, section: Any, test: KeptTest | None) -> TestedProvider:
    if test is None or test.section == section_digest(section):
        return TestedProvider(name, test)
    return TestedProvider(name, None, changed=True)
