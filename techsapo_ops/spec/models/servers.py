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
    """Tell browsers to come back by HTTPS only (HSTS), for two years; false takes it back. Default: for 30
    days, where all names are public and the certificate is not of this stack's own CA."""
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
    """ACME directory; to try things out https://acme-staging-v02.api.letsencrypt.org/directory, whose
    certificates nobody trusts and whose limits are generous."""
    ca_file: FilePath | None = None
    """CA certificates (PEM) by which an ACME server of your own is known; default: the system's."""
    eab_key_id: Text | None = None
    """Key id of the account at the ACME authority's site, where it wants one beforehand (external account
    binding): ZeroSSL, Google Trust Services, Sectigo and others."""
    eab_hmac_key: Secret | None = None
    """HMAC key of `eab_key_id`, base64url as the authority shows it."""
    dns_hook: CommandLine | None = None
    """Command that sets and removes TXT records, for the challenge dns-01, which wildcards need; it is given
    `set` or `clear`, the record's name and its value. Without it names are proved by http-01."""
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
    def staging(self) -> bool:
        """Whether it comes from Let's Encrypt's staging directory, whose certificates nobody trusts."""
        return self.directory == STAGING_DIRECTORY


class Redis(Section):
    """Cache and shared counters."""

    enabled: bool = True
    """false: every instance keeps its cache in its own memory."""
    host: OwnHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 6379
    """Port to listen on."""
    maxmemory: Size = "256M"
    """Memory for data; beyond it the least used keys go."""
    appendonly: bool = False
    """Keep every write in an append-only file."""
    accounts: bool | None = None
    """An account for each client, with a password made at the first start and no more rights than it needs.
    false: no login at all. Default: true, where no `password` is given."""
    user: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = None
    """Account (ACL) of every client, in place of the nameless one, which is then off; needs a password."""
    password: Secret | None = None
    """Password that clients must give, in place of `accounts`."""
    tls: bool = False
    """Speak TLS and nothing else, with a certificate of a CA of this stack's own, both renewed by `up`. With
    `hosts` always true."""


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
    """Password of the account; default: made at the first start and kept in the state directory."""
