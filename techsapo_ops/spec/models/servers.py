"""The servers that the app works with: nginx and its certificates in front, Redis and MySQL behind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import (
    ACCOUNT_PATTERN,
    CommandLine,
    FilePath,
    HostName,
    HostPort,
    ListenHost,
    Name,
    NotASwitch,
    OwnHost,
    Port,
    Section,
    Size,
    Text,
    Url,
)
from techsapo_ops.spec.secret import Secret

STAGING_DIRECTORY = "https://acme-staging-v02.api.letsencrypt.org/directory"


class Nginx(Section):
    """The load balancer in front of several instances or of certificates."""

    enabled: bool | None = None
    """Whether nginx runs. Default: true if the spec has several instances or certificates."""
    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    listen: Port = 8080
    """Port for HTTP."""
    tls_listen: Port = 8443
    """Port for HTTPS, if there is a certificate."""
    server_name: HostName | None = None
    """Host name that it answers to; default: any."""
    certificate: Name | None = None
    """Name under `certificates`; default: the first one."""
    hsts: bool | None = None
    """Tell browsers to use only HTTPS for two years (HSTS); false revokes it. Default: 30 days, if all names
    are public and the certificate is not from the stack's own CA.
    """
    client_rate: Annotated[int, Field(ge=1, le=1_000_000), NotASwitch] = 1000
    """Requests per second from one address, with a burst of twice as many; further ones get 429."""


class Certificate(Section):
    """A certificate this stack serves or watches."""

    source: Literal["acme", "self-signed", "files", "external"] = "self-signed"
    """acme: issued and renewed by an ACME authority such as Let's Encrypt; self-signed: generated here;
    files: yours, from two files; external: served elsewhere and only monitored.
    """
    names: tuple[HostName, ...] = ()
    """Host names of the certificate; `*.` in front means a wildcard."""
    contact: Text | None = None
    """E-mail address for a new ACME account."""
    directory: Url = "https://acme-v02.api.letsencrypt.org/directory"
    """ACME directory. For tests use https://acme-staging-v02.api.letsencrypt.org/directory: its certificates
    are not trusted, and its limits are generous.
    """
    ca_file: FilePath | None = None
    """CA certificates (PEM) that verify your own ACME server; default: those of the system."""
    eab_key_id: Text | None = None
    """Key id of your account at the ACME authority, if it requires one (external account binding): ZeroSSL,
    Google Trust Services, Sectigo and others.
    """
    eab_hmac_key: Secret | None = None
    """HMAC key of `eab_key_id`, in base64url as the authority shows it."""
    dns_hook: CommandLine | None = None
    """Command that sets and removes TXT records for the challenge dns-01, which wildcards need. Its arguments
    are `set` or `clear`, the name of the record and its value. Without it, names are validated by http-01.
    """
    certificate_file: FilePath | None = None
    """source files: the certificate chain (PEM). source external: a certificate that is only monitored."""
    private_key_file: FilePath | None = None
    """source files: the private key (PEM)."""
    address: HostPort | None = None
    """source external: host:port of the server whose certificate is monitored."""
    install_to: FilePath | None = None
    """Folder for a link NAME.crt to the deployed chain, e.g. /etc/ssl/certs."""
    deploy_hooks: tuple[CommandLine, ...] = ()
    """Commands run after a new certificate is in place."""

    @property
    def staging(self) -> bool:
        """Whether it comes from Let's Encrypt's staging directory, whose certificates nobody trusts."""
        return self.directory == STAGING_DIRECTORY


class Redis(Section):
    """Cache and shared counters."""

    enabled: bool = True
    """false: each instance has its own cache in memory."""
    host: OwnHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 6379
    """Port to listen on."""
    maxmemory: Size = "256M"
    """Memory for data; beyond it, the least used keys are evicted."""
    appendonly: bool = False
    """Log every write to an append-only file."""
    accounts: bool | None = None
    """A separate account for each client, with a password generated at the first start and only the rights it
    needs. false: no login at all. Default: true if no `password` is set.
    """
    user: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = None
    """Account (ACL) that every client uses; the default account without a name is then disabled. It needs a
    password.
    """
    password: Secret | None = None
    """Password that all clients use, instead of `accounts`."""
    tls: bool = False
    """Accept only TLS, with a certificate of the stack's own CA; `up` renews both. Always on with `hosts`."""


class Mysql(Section):
    """The audit database; a managed MariaDB. Without this section the audit log is SQLite."""

    host: OwnHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 3306
    """Port to listen on."""
    database: ClassVar[str] = "techsapo_audit"  # the guide's name for it
    user: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] = "techsapo"
    """Account of the app."""
    password: Secret | None = None
    """Password of the account; default: generated at the first start and stored in the state directory."""
