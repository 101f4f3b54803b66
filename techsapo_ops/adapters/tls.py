"""TLS as the tool itself speaks it: whom it trusts, what a server shows, and where an API key may be sent."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.questions import Deadline, os_reason
from techsapo_ops.adapters.trusted_users import trusted_users
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:  # ssl takes 10 ms that only TLS pays, cryptography more
    import ssl

    from cryptography import x509

KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "cookie"})
"""Headers, in lower case, by which their holder acts in the sender's name."""

_PEEK_SECONDS = 5.0
_LARGEST = 1024**2
"""Bytes that are read of a file with certificates; the system's whole store is a quarter of it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """By which certificates a server is known: the system's authorities, and what the fields say.

    Whatever is trusted, a certificate must be for the name that is asked for, and in its time.
    """

    ca: str | None = None
    """Authorities or the server's very certificate, by `read_authorities`; in place of all others."""
    own: Path | None = None
    """Folder of a stack's certificates: its local CA and what it deployed are trusted too."""
    here: frozenset[str] = frozenset()
    """Addresses of this host on which its stack listens: what is sent there does not leave the host."""

    def context(self) -> ssl.SSLContext:
        """What a client opens TLS connections by."""
        import ssl

        context = ssl.create_default_context(cadata=self.ca)
        # A trusted certificate is taken as it is: a server's own need not lead to a root.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for own in self._own() if self.ca is None else ():
            if own.pem:
                context.load_verify_locations(cadata=own.pem)
        return context

    def server_name(self, host: str, port: int, seconds: float) -> str | None:
        """The name that `host` must have a certificate for; None for `host` itself.

        A stack's nginx is asked on loopback, but its certificate is for the site's name. So where this host
        shows the very certificate that its stack deployed, it has to prove that it is the site. Takes
        `seconds` at most, and a connection of its own: nothing is sent by it.
        """
        if self.own is None or not (host in self.here or stays_here(host)):
            return None
        import ssl

        leaves = [ssl.PEM_cert_to_DER_cert(own.pem) for own in self._own() if own.pem and own.leaf]
        if not leaves:
            return None
        try:
            shown = served_certificate(Address(host, port), host, timeout=min(seconds, _PEEK_SECONDS))
        except OpsError:  # the request that follows meets the same, and has the words for it
            return None
        return _other_name(shown, host) if shown in leaves else None

    def ignored(self) -> tuple[str, ...]:
        """Which of the stack's own certificates are not trusted, and why, each in a few words."""
        return tuple(own.why for own in self._own() if own.why)

    def _own(self) -> Iterator[_Own]:
        if self.own is None:
            return
        files = [(self.own / ".ca" / "ca.pem", False)]
        try:
            files += [(folder / "fullchain.pem", True) for folder in sorted(self.own.iterdir())]
        except FileNotFoundError:
            return
        except OSError as error:
            yield _Own("", why=f"{self.own}: {(error.strerror or str(error)).lower()}")
            return
        for path, leaf in files:
            own = _read(path, leaf=leaf)
            if own is not None:
                yield own


SYSTEM = Trust()
"""The system's authorities alone."""


@dataclass(frozen=True, slots=True)
class _Own:
    """The first certificate of a file of the stack's, or why it is not trusted."""

    pem: str
    leaf: bool = False
    why: str = ""


def read_authorities(path: Path) -> str:
    """The certificates in a PEM file. Raises OpsError where it can't be read or holds none."""
    import ssl

    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1).decode("ascii", "ignore")  # comments may be in any language
    except OSError as error:
        raise OpsError(
            msg("cannot read the CA certificates {path}: {strerror}", path=path, strerror=error.strerror)
        ) from None
    if len(content) > _LARGEST:
        raise OpsError(
            msg("{path} is larger than {largest} bytes", path=path, largest=_LARGEST),
            msg("use a file that contains only the CA's certificates"),
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content or "-")
    except (ssl.SSLError, ValueError):
        raise OpsError(
            msg("{path} contains no readable certificate", path=path),
            msg("the file must be in PEM format (-----BEGIN CERTIFICATE-----)"),
        ) from None
    return content


class NoTls(OpsError):
    """A peer speaks no TLS, or shows a certificate that is not trusted: `untrusted` is OpenSSL's reason."""

    def __init__(self, message: str, untrusted: str = "") -> None:
        super().__init__(message)
        self.untrusted = untrusted


def no_tls(error: ssl.SSLError) -> NoTls:
    """Why a handshake failed."""
    import ssl

    untrusted = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    return NoTls(os_reason(error), untrusted)


def trusting(ca: Path) -> ssl.SSLContext:
    """What trusts the authorities in that PEM file and no others. Raises OpsError for a file without any."""
    return Trust(ca=read_authorities(ca)).context()


def served_certificate(address: Address, server_name: str | None, *, timeout: float) -> bytes:
    """The leaf certificate (DER) that `address` shows a client asking for `server_name`.

    It is looked at, not trusted: an expired or self-signed one comes back too. Over within `timeout`
    seconds. Raises OpsError when there is no TLS handshake.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    certificate = _handshake(address, server_name, context, timeout)
    if certificate is None:
        raise OpsError(msg("{address} presents no certificate", address=address))
    return certificate


def trust_problem(address: Address, server_name: str, *, timeout: float, ca_file: Path | None = None) -> str:
    """Why a client would not trust what `address` shows for `server_name`; "" where it would.

    `ca_file` (PEM) takes the place of the system's CAs. Raises OpsError as served_certificate does.
    """
    context = SYSTEM.context() if ca_file is None else trusting(ca_file)
    try:
        _handshake(address, server_name, context, timeout)
    except NoTls as error:
        return error.untrusted
    return ""


def _handshake(
    address: Address, server_name: str | None, context: ssl.SSLContext, timeout: float
) -> bytes | None:
    """The certificate (DER) that `address` shows. Raises NoTls where `context` does not take it, else
    OpsError.
    """
    import ssl

    with Deadline(timeout) as deadline:
        try:
            with socket.create_connection((address.host, address.port), timeout) as plain:
                deadline.watch(plain)
                with context.wrap_socket(plain, server_hostname=server_name) as secure:
                    return secure.getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError as error:
            raise no_tls(error) from None
        except OSError as error:
            late = deadline.expired or isinstance(error, TimeoutError)
            reason = (
                msg("no TLS handshake within {timeout:g} s", timeout=timeout)
                if late
                else os_reason(error) or str(error)
            )
            raise OpsError(msg("{address}: {reason}", address=address, reason=reason)) from None


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses that a certificate is for, in its own order."""
    from cryptography import x509

    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)]
    return (*alternatives.get_values_for_type(x509.DNSName), *addresses)


def refuse_exposed_key(url: str, host: str, headers: Mapping[str, str], here: frozenset[str]) -> None:
    """Raise OpsError where a plain http request for `url` would carry a key beyond this host.

    `host` is what the client connects to, as its own parser has it: two parsers may differ.
    """
    if not KEY_HEADERS & {name.lower() for name in headers} or host in here or stays_here(host):
        return
    raise OpsError(
        msg("{url}: an API key is not sent over plain http to another host; nothing was sent", url=url),
        msg(
            "use https, or http://127.0.0.1:PORT on the host itself (e.g. through `ssh -L`), or "
            "unset TECHSAPO_API_KEY to ask without a key"
        ),
        exit_code=2,
    )


def distrust(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """What is wrong with a server's certificate, and what to try.

    The codes are OpenSSL's: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
    """
    import ssl

    known = msg("if this is your own server, pass its certificate, or that of its CA, with --ca-file FILE")
    match error.verify_code:
        case 9:
            return msg("is not valid yet"), msg("check the clocks of this host and of the server")
        case 10:
            return msg("has expired"), msg(
                "renew the certificate on the server (`techsapo certs renew` there)"
            )
        case 18:
            return msg("is self-signed and not trusted on this host"), known
        case 2 | 19 | 20 | 21:
            paths = ssl.get_default_verify_paths()
            if not any((paths.cafile, *Path(paths.capath or "/nowhere").glob("*"))):
                known = msg("this host trusts no CA at all: install ca-certificates; {known}", known=known)
            return msg("is from a CA that is not trusted on this host"), known
        case 62 | 64:
            return msg(
                "is for another name: {verify_message}", verify_message=error.verify_message.rstrip(".")
            ), msg("connect by a name in the certificate")
        case _:
            return msg("is not valid: {verify_message}", verify_message=error.verify_message), msg(
                "renew the certificate on the server"
            )


def stays_here(host: str) -> bool:
    """Whether a connection to `host` surely stays on this host.

    Not the names below localhost, which a resolver may send elsewhere, nor short forms such as 127.1.
    """
    if host == "localhost":
        try:
            addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
        except OSError:
            return False
        return bool(addresses) and all(_loopback_address(address) for address in addresses)
    return _loopback_address(host)


def _loopback_address(host: str) -> bool:
    import ipaddress  # 4 ms that only requests with a key and https pay

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback and "%" not in host


def _read(path: Path, *, leaf: bool) -> _Own | None:
    """The first certificate of `path`; None where there is no such file.

    One that others could have put there vouches for nobody: a command may be run in any folder.
    """
    import ssl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _Own("", why=f"{path}: {(error.strerror or str(error)).lower()}")
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        ours = facts.st_uid in trusted_users()
        if not stat.S_ISREG(facts.st_mode) or not ours or facts.st_mode & 0o022:
            return _Own("", why=msg("{path} can be changed by other users", path=path))
        content = file.read(_LARGEST)
    begin, end = ssl.PEM_HEADER.encode(), ssl.PEM_FOOTER.encode()
    start = content.find(begin)
    stop = content.find(end, start)
    try:
        pem = content[start : stop + len(end)].decode("ascii") + "\n"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ValueError, ssl.SSLError):
        return _Own("", why=msg("{path} contains no certificate", path=path))
    return _Own(pem, leaf)


def _other_name(certificate: bytes, host: str) -> str | None:
    """A name of `certificate` (DER), None where `host` is one of its names or it has none."""
    from cryptography import x509

    names = names_of(x509.load_der_x509_certificate(certificate))
    return None if host in names else next((name.replace("*", "www", 1) for name in names), None)
