"""Which certificate a port really serves."""

from __future__ import annotations

import socket
import ssl

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.deadline import Deadline
from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


class NotTrusted(OpsError):
    """A handshake failed for the certificate alone."""


def served_certificate(address: Address, server_name: str | None, *, timeout: float) -> bytes:
    """The leaf certificate (DER) that `address` shows a client asking for `server_name`.

    It is looked at, not trusted: an expired or self-signed one comes back too. Over within `timeout`
    seconds. Raises OpsError when there is no TLS handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    certificate = handshake(address, server_name, context, timeout)
    if certificate is None:
        raise OpsError(msg("{address}: shows no certificate", address=address))
    return certificate


def handshake(
    address: Address, server_name: str | None, context: ssl.SSLContext, timeout: float
) -> bytes | None:
    """Open a TLS connection to `address` by `context`; the certificate (DER) that it shows.

    Over within `timeout` seconds. Raises NotTrusted where `context` does not take the certificate, OpsError
    where there is no handshake.
    """
    with Deadline(timeout) as deadline:
        try:
            with socket.create_connection((address.host, address.port), timeout) as plain:
                deadline.watch(plain)
                with context.wrap_socket(plain, server_hostname=server_name) as secure:
                    return secure.getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError as error:
            raise NotTrusted(error.verify_message) from None
        except OSError as error:
            late = deadline.expired or isinstance(error, TimeoutError)
            reason = (
                msg("no TLS handshake within {timeout:g} s", timeout=timeout)
                if late
                else os_reason(error) or str(error)
            )
            if isinstance(error, ssl.SSLError) and not late:
                reason = msg("does not speak TLS")
            raise OpsError(msg("{address}: {reason}", address=address, reason=reason)) from None
