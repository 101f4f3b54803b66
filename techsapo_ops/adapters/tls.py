"""Which certificate a port really serves."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.deadline import Deadline
from techsapo_ops.adapters.http import os_reason
from techsapo_ops.adapters.tls_trust import Trust, read_authorities
from techsapo_ops.errors import OpsError


def served_certificate(address: Address, server_name: str | None, *, timeout: float) -> bytes:
    """The leaf certificate (DER) that `address` shows a client asking for `server_name`.

    It is looked at, not trusted: an expired or self-signed one comes back too. Over within `timeout`
    seconds. Raises OpsError when there is no TLS handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    certificate = _handshake(address, server_name, context, timeout)
    if certificate is None:
        raise OpsError(f"{address}: shows no certificate")
    return certificate


def trust_problem(address: Address, server_name: str, *, timeout: float, ca_file: Path | None = None) -> str:
    """Why a client would not trust what `address` shows for `server_name`; "" where it would.

    `ca_file` (PEM) takes the place of the system's CAs. Raises OpsError as served_certificate does.
    """
    context = Trust(ca=read_authorities(ca_file) if ca_file is not None else None).context()
    try:
        _handshake(address, server_name, context, timeout)
    except _Untrusted as error:
        return error.message
    return ""


class _Untrusted(OpsError):
    """The handshake failed for the certificate alone."""


def _handshake(
    address: Address, server_name: str | None, context: ssl.SSLContext, timeout: float
) -> bytes | None:
    with Deadline(timeout) as deadline:
        try:
            with socket.create_connection((address.host, address.port), timeout) as plain:
                deadline.watch(plain)
                with context.wrap_socket(plain, server_hostname=server_name) as secure:
                    return secure.getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError as error:
            raise _Untrusted(error.verify_message) from None
        except OSError as error:
            late = deadline.expired or isinstance(error, TimeoutError)
            reason = f"no TLS handshake within {timeout:g} s" if late else os_reason(error) or str(error)
            if isinstance(error, ssl.SSLError) and not late:
                reason = "does not speak TLS"
            raise OpsError(f"{address}: {reason}") from None
