"""Whether and how nginx tells browsers to keep to HTTPS (HSTS, RFC 6797)."""

from __future__ import annotations

import ipaddress

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.edge import Certificate

_MONTH, _TWO_YEARS = 30 * 86400, 2 * 365 * 86400
"""For who did not ask for it a month: a certificate that can't be renewed must not shut a name for years."""
_PRIVATE = frozenset(
    {"arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localhost",
     "onion", "private", "test"}
)  # fmt: skip
"""Last labels of names that no public authority signs: RFC 6761, 6762, 8375, ICANN's `internal`, habits."""


def hsts_header(spec: Spec) -> str | None:
    """The value of Strict-Transport-Security; None where it is not sent.

    Without a word in the spec it is sent where browsers will be able to keep to it: a public name, and a
    certificate that is not of this stack's own making. `hsts: false` makes browsers forget it. Never
    `preload`: nobody gets out of that list soon.
    """
    if spec.served_certificate is None:
        return None
    if spec.nginx.hsts is None:
        return f"max-age={_MONTH}" if _is_public_site(spec) else None
    return f"max-age={_TWO_YEARS if spec.nginx.hsts else 0}"


def _is_public_site(spec: Spec) -> bool:
    """Whether nginx serves public names alone, with a certificate that browsers may know."""
    name = spec.served_certificate
    if name is None or not _known_to_browsers(spec.certificates[name]):
        return False
    own = (spec.nginx.server_name,) if spec.nginx.server_name is not None else ()
    names = (*own, *spec.certificates[name].names)
    return bool(names) and all(_is_public(each) for each in names)


def _known_to_browsers(certificate: Certificate) -> bool:
    private_ca = certificate.staging or certificate.ca_file is not None
    return certificate.source == "files" or (certificate.source == "acme" and not private_ca)


def _is_public(name: str) -> bool:
    labels = name.lower().rstrip(".").split(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return len(labels) > 1 and labels[-1] not in _PRIVATE
    return False
