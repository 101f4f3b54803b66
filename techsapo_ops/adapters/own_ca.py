"""TLS to a server that shows a certificate of a CA which signs for it alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    import ssl


class NoTls(Exception):
    """A peer does not speak TLS, or not as one that is to be trusted; in words."""


def trusting(ca: Path) -> ssl.SSLContext:
    """What trusts that CA and no other. Raises NoTls for a file that can't be used."""
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise NoTls(
            msg("the CA certificate {ca} can't be read: {reason}", ca=ca, reason=os_reason(error) or error)
        ) from None


def no_tls(error: ssl.SSLError) -> NoTls:
    """Why a handshake failed."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return NoTls(
            msg("shows a certificate that is not to be trusted: {reason}", reason=error.verify_message)
        )
    return NoTls(msg("speaks no TLS: {reason}", reason=error.reason or error))
