"""The secrets of a stack: which there are, one of them in the open, and taking them out of text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_bytes

from techsapo_ops.adapters.mac import mac
from techsapo_ops.adapters.strict_modes import user_name
from techsapo_ops.backup.kinds.secret_files import made_secrets, secret_values
from techsapo_ops.errors import OpsError
from techsapo_ops.masking.fields import url_secrets
from techsapo_ops.masking.masker import Masker
from techsapo_ops.masking.search import KnownSecrets
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.spec.redact import written_secrets
from techsapo_ops.spec.secret import Secret
from techsapo_ops.spec.source import parse
from techsapo_ops.spec.variables import parse_dotenv
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.secrets import StoredSecret
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology


def service_secrets(topology: Topology) -> tuple[StoredSecret, ...]:
    """Those of the services that the stack runs, in the order of their start."""
    names = dict.fromkeys(service.kind for service in topology.services)
    return tuple(secret for name in names for secret in kind_of(name).stored_secrets(topology))


def find_secret(topology: Topology, name: str) -> StoredSecret:
    """The one of that name. Raises OpsError with the nearest where there is none."""
    by_name = {secret.name: secret for secret in service_secrets(topology)}
    if name not in by_name:
        raise unknown(msg("secret"), name, by_name, hint=msg("no service of this stack has a secret"))
    return by_name[name]


def reveal(secret: StoredSecret) -> Secret:
    """What it is. Raises OpsError where it is not made yet, or not for this user to read."""
    if secret.given is not None:
        return secret.given
    assert secret.file is not None, "made by the tool"  # noqa: S101 - a mistake of ours, no input
    try:
        text = secret.file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise OpsError(
            msg(
                "the secret {secret} does not exist yet: there is no {file}",
                secret=secret.name,
                file=secret.file,
            ),
            msg("`techsapo up` creates the secret"),
        ) from None
    except PermissionError:
        raise OpsError(
            msg("cannot read {file}: only {owner} may read it", file=secret.file, owner=_owner(secret)),
            msg("run this command as the user who ran `up`"),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(
            msg("cannot read {file}: {error}", file=secret.file, error=error),
            msg("`techsapo doctor` checks the host"),
        ) from None
    return Secret(text, file=str(secret.file))


def _owner(secret: StoredSecret) -> str:
    assert secret.file is not None, "it was read a moment ago"  # noqa: S101 - a mistake of ours, no input
    try:
        return user_name(secret.file.stat().st_uid)
    except OSError:
        return msg("another user")


KNOWN = "[SECRET]"
_SPOKEN = re.compile(
    r"""(?P<name>[\w-]*(?:pass|secret|token|key|url|dsn|auth|credential)[\w-]*)["']?[ \t]*[:：=][ \t]*"""
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^,}\n#]+)""",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-?][^}]*)?\}")
_DIGEST = re.compile(r"(?<![\w:])[0-9a-f]{64}(?!\w)")
"""SHA-256 as techsapo notes it; one of an image has `sha256:` in front, and is no secret's."""


class Scrubber:
    """Masks the texts of one bundle: `values` wherever they are, and what the rules of decision 32 find.

    What those find in `spec`, as in a command of a hook, is known in the other texts as well.
    """

    def __init__(self, values: Iterable[str], spec: str = "") -> None:
        self._known = KnownSecrets(
            part for value in values for part in (value, *value.splitlines(), *url_secrets(value))
        )
        self._masker = Masker("secrets")
        self._masker.mask(spec)
        self._count = 0
        self._salt = token_bytes(32)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many were masked so far, by kind."""
        return {"known": self._count, **self._masker.counts}

    def scrub(self, text: str) -> str:
        """`text` without them."""
        text, count = self._known.masked(text, KNOWN)
        self._count += count
        # By the digest of a file that is one weak password it could be guessed; the same stay the same.
        text = _DIGEST.sub(lambda digest: f"digest-{self._salted(digest[0])}", text)
        return self._masker.mask(text)

    def _salted(self, digest: str) -> str:
        return mac(self._salt, "scrub", digest).hex()[:16]


def scrubber_of(layout: Layout, stack: Stack | None) -> Scrubber:
    """For the stack of `layout`; `stack` is None where its spec is wrong: then all that may be one counts.

    Raises OpsError where they can't be read: what is not known can't be taken out.
    """
    try:
        spec = layout.spec_file.read_text("utf-8", "replace") if layout.spec_file.is_file() else ""
        values = list(secret_values(stack)) if stack is not None else list(_written(layout.spec_file, spec))
        values += made_secrets(layout.keys)
        if layout.app_key.is_file():
            values.append(layout.app_key.read_bytes().strip())
        values += _variables(layout)
    except OSError as error:
        raise OpsError(
            msg(
                "cannot read the stack's secrets, so they can't be masked: {strerror}: {filename}",
                strerror=error.strerror,
                filename=error.filename,
            ),
            msg("run as the user who ran `up`"),
        ) from None
    return Scrubber((value.decode("utf-8", "replace") for value in values), spec)


def _written(spec_file: Path, text: str) -> Iterator[bytes]:
    """What may be a secret in a spec that is wrong: whatever is where one belongs, as far as it can be
    read, or behind a name that sounds like one.
    """
    with suppress(OpsError):
        for known in written_secrets(parse(text, spec_file.name).data):
            yield known.encode(errors="replace")
    for match in _SPOKEN.finditer(text):
        value = match["value"].strip().rstrip(",}] ").strip()
        if value[:1] in {'"', "'"}:
            value = value[1:].partition(value[0])[0] if "\\" not in value else value.strip(value[0])
        if (variable := _VARIABLE.fullmatch(value)) is not None:
            value = os.environ.get(variable[1], "")
        yield value.encode()
        yield value.replace('\\"', '"').encode()
        if match["name"].endswith("_file"):
            with suppress(RuntimeError):  # no home of a user: whoever reads the spec says so
                named = spec_file.parent / Path(value).expanduser()
                if named.is_file():
                    yield named.read_bytes().strip()


def _variables(layout: Layout) -> list[bytes]:
    """What `.env` beside the spec holds."""

    file = layout.spec_file.parent / ".env"
    if not file.is_file():
        return []
    try:
        return [
            value.encode() for value in parse_dotenv(file.read_text("utf-8"), filename=str(file)).values()
        ]
    except (OpsError, UnicodeDecodeError):  # whoever reads the spec says what is wrong with it
        return []
