"""The edge of the stack: nginx and the certificates it serves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import (
    CommandLine,
    Duration,
    FilePath,
    HostName,
    HostPort,
    ListenHost,
    Name,
    NotASwitch,
    Port,
    Section,
    Text,
    Url,
)
from techsapo_ops.spec.secret import Secret

STAGING_DIRECTORY = "https://acme-staging-v02.api.letsencrypt.org/directory"


class Nginx(Section):
    """The load balancer in front of several instances or of certificates."""

    enabled: bool | None = None
    """Default: where the spec has several instances or certificates."""
    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    listen: Port = 8080
    """Port for HTTP."""
    tls_listen: Port = 8443
    """Port for HTTPS, where there is a certificate."""
    server_name: HostName | None = None
    """Host name it answers to; default: any."""
    certificate: Name | None = None
    """Name under `certificates`; default: the first one."""
    hsts: bool | None = None
    """Tell browsers to come back by HTTPS only (HSTS); default: where all names are public
    and the certificate is not of this stack's own CA."""
    hsts_max_age: Duration | None = None
    """How long browsers keep to HTTPS since they last came; 0s takes it back. Default: 30d, with `hsts: true`
    2y."""
    hsts_subdomains: bool = False
    """Keep to HTTPS for all names below as well, whoever serves them."""
    redirect: bool = True
    """Send plain HTTP to HTTPS where there is a certificate."""
    retry_keyed: bool = True
    """Send a question with an Idempotency-Key to the next instance where one dies over it: the app keeps what
    providers have replied. Without Redis it has no effect."""
    client_rate: Annotated[int, Field(ge=1, le=1_000_000), NotASwitch] = 1000
    """Requests a second from one address, and twice as many at once; more are answered 429."""


class Certificate(Section):
    """A certificate this stack serves or watches."""

    source: Literal["acme", "self-signed", "files", "external"] = "self-signed"
    """acme: issued and renewed by an ACME authority such as Let's Encrypt; self-signed: made here;
    files: yours, from two files; external: served elsewhere, only watched."""
    names: tuple[HostName, ...] = ()
    """Host names it is for; `*.` in front for a wildcard."""
    contact: Text | None = None
    """E-mail address for the ACME account, when it is made."""
    directory: Url = "https://acme-v02.api.letsencrypt.org/directory"
    """ACME directory."""
    ca_file: FilePath | None = None
    """CA certificates (PEM) by which an ACME server of your own is known; default: the system's."""
    eab_key_id: Text | None = None
    """Key id of the account at the ACME authority's site, where it wants one beforehand (external account
    binding): ZeroSSL, Google Trust Services, Sectigo and others."""
    eab_hmac_key: Secret | None = None
    """HMAC key of `eab_key_id`, base64url as the authority shows it."""
    eab_hmac_key_file: FilePath | None = None
    """File that holds the HMAC key, in place of `eab_hmac_key`."""
    staging: bool = False
    """Use Let's Encrypt's staging directory: untrusted certificates, generous limits."""
    challenge: Literal["http-01", "dns-01"] = "http-01"
    """How the ACME authority checks the names; wildcards need dns-01."""
    dns_hook: CommandLine | None = None
    """Command that sets and removes the TXT records of dns-01; it is given `set` or `clear`, the record's
    name and its value."""
    key_type: Literal["ecdsa", "rsa"] = "ecdsa"
    """Kind of private key."""
    days: Annotated[int, Field(ge=1, le=825), NotASwitch] = 90
    """source self-signed: lifetime in days."""
    certificate_file: FilePath | None = None
    """source files: the chain, PEM. source external: a certificate that is only watched."""
    private_key_file: FilePath | None = None
    """source files: the private key, PEM."""
    address: HostPort | None = None
    """source external: host:port whose certificate is watched."""
    install_to: FilePath | None = None
    """Folder in which a link NAME.crt to the deployed chain is kept, e.g. /etc/ssl/certs."""
    deploy_hooks: tuple[CommandLine, ...] = ()
    """Commands run after a new certificate is in place."""

    @property
    def acme_directory(self) -> str:
        """The ACME directory that is asked."""
        return STAGING_DIRECTORY if self.staging else self.directory
