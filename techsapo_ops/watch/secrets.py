"""The secrets of a stack that a person may need: which there are, and one of them in the open."""

from __future__ import annotations

from techsapo_ops.adapters.strict_modes import user_name
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.secrets import KeptSecret
from techsapo_ops.stack.topology import Topology


def kept_secrets(topology: Topology) -> tuple[KeptSecret, ...]:
    """Those of the services that the stack runs, in the order of their start."""
    names = dict.fromkeys(service.kind for service in topology.services)
    return tuple(secret for name in names for secret in kind_of(name).kept_secrets(topology))


def find_secret(topology: Topology, name: str) -> KeptSecret:
    """The one of that name. Raises OpsError with the nearest where there is none."""
    found = {secret.name: secret for secret in kept_secrets(topology)}
    if name not in found:
        raise unknown(msg("secret"), name, found, hint=msg("no service of this stack has one"))
    return found[name]


def reveal(secret: KeptSecret) -> Secret:
    """What it is. Raises OpsError where it is not made yet, or not for this user to read."""
    if secret.given is not None:
        return secret.given
    assert secret.file is not None, "made by the tool"  # noqa: S101 - a mistake of ours, no input
    try:
        text = secret.file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise OpsError(
            msg("{secret} is not made yet: there is no {file}", secret=secret.name, file=secret.file),
            msg("`techsapo up` makes it"),
        ) from None
    except PermissionError:
        raise OpsError(
            msg("cannot read {file}: it is for {owner} alone", file=secret.file, owner=_owner(secret)),
            msg("run this as the user who ran `up`"),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(
            msg("cannot read {file}: {error}", file=secret.file, error=error),
            msg("`techsapo doctor` looks at the host"),
        ) from None
    return Secret(text, file=str(secret.file))


def _owner(secret: KeptSecret) -> str:
    assert secret.file is not None, "it was read a moment ago"  # noqa: S101 - a mistake of ours, no input
    try:
        return user_name(secret.file.stat().st_uid)
    except OSError:
        return msg("another user")
