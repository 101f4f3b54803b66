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
    """The load balancer, for several instances or for certificates."""

    enabled: bool | None = None
    """Whether nginx runs. Default: true if the spec has several instances or certificates."""
    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    listen: Port = 8080
    """Port for HTTP."""
    tls_listen: Port = 8443
    """Port for HTTPS, if there is a certificate."""
    server_name: HostName | None = None
    """Host name that nginx answers to; default: any."""
    certificate: Name | None = None
    """Certificate that nginx serves, by its name under `certificates`; default: the first one."""
    hsts: bool | None = None
    """Whether browsers may use only HTTPS (HSTS): true tells browsers so for two years; false cancels an
    earlier setting. Default: browsers are told for 30 days, if all names are public and the certificate is
    not from the stack's own CA.
    """
    client_rate: Annotated[int, Field(ge=1, le=1_000_000), NotASwitch] = 1000
    """Maximum number of requests per second from one address, with bursts of up to twice as many; further
    requests get 429.
    """


class Certificate(Section):
    """A certificate this stack serves or watches."""

    source: Literal["acme", "self-signed", "files", "external"] = "self-signed"
    """Where the certificate comes from: an ACME authority such as Let's Encrypt, which issues and renews it
    (acme); the stack's own CA (self-signed); your own two files (files); or another server, where it is only
    monitored (external).
    """
    names: tuple[HostName, ...] = ()
    """Host names of the certificate; `*.` in front means a wildcard."""
    contact: Text | None = None
    """E-mail address for a new ACME account."""
    directory: Url = "https://acme-v02.api.letsencrypt.org/directory"
    """URL of the ACME directory. For tests, use https://acme-staging-v02.api.letsencrypt.org/directory: its
    certificates are not trusted, and its rate limits are generous.
    """
    ca_file: FilePath | None = None
    """CA certificates (PEM) that verify your own ACME server; default: the system's CA certificates."""
    eab_key_id: Text | None = None
    """Key id of your account at the ACME authority, if the authority requires one (external account binding):
    ZeroSSL, Google Trust Services, Sectigo and others.
    """
    eab_hmac_key: Secret | None = None
    """HMAC key of `eab_key_id`, in base64url as the ACME authority shows it."""
    dns_hook: CommandLine | None = None
    """Command that sets and removes TXT records for the dns-01 challenge, which wildcard names need. The
    command gets three arguments: `set` or `clear`, the record's name, and the record's value. Without a
    command, names are validated by http-01.
    """
    certificate_file: FilePath | None = None
    """With `source: files`: the certificate chain (PEM). With `source: external`: a certificate that is only
    monitored.
    """
    private_key_file: FilePath | None = None
    """With `source: files`: the private key (PEM)."""
    address: HostPort | None = None
    """With `source: external`: host:port of the server whose certificate is monitored."""
    install_to: FilePath | None = None
    """Folder for a link NAME.crt to the deployed certificate chain, e.g. /etc/ssl/certs."""
    deploy_hooks: tuple[CommandLine, ...] = ()
    """Commands that run after a new certificate is in place."""

    @property
    def staging(self) -> bool:
        """Whether it comes from Let's Encrypt's staging directory, whose certificates nobody trusts."""
        return self.directory == STAGING_DIRECTORY


class Redis(Section):
    """Cache and shared counters."""

    enabled: bool = True
    """If false, each instance of the app has its own cache in memory."""
    host: OwnHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 6379
    """Port to listen on."""
    maxmemory: Size = "256M"
    """Memory limit for data. At the limit, the least recently used keys that have an expiry are evicted."""
    appendonly: bool = False
    """Log every write to an append-only file."""
    accounts: bool | None = None
    """If true, each client has its own account, with a password generated at the first start and only the
    rights that the client needs. If false and no `password` is set, Redis requires no login. Default: true if
    no `password` is set.
    """
    user: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = None
    """Account (ACL) that every client uses. Redis's default account is then disabled. This key needs
    `password`.
    """
    password: Secret | None = None
    """Password that all clients use, instead of `accounts`."""
    tls: bool = False
    """Accept only TLS, with a certificate from the stack's own CA; `up` renews the certificate and the CA.
    Always on with `hosts`.
    """


class Mysql(Section):
    """The audit database; a managed MariaDB. Without this section the audit log is SQLite."""

    host: OwnHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 3306
    """Port to listen on."""
    database: ClassVar[str] = "techsapo_audit"  # the guide's name for it
    user: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] = "techsapo"
    """Account that the app uses."""
    password: Secret | None = None
    """Password of the account; default: generated at the first start and stored in the state directory."""
