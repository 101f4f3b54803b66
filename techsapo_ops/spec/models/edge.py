"""The edge of the stack: nginx and the certificates it serves."""

from __future__ import annotations

from typing import Literal

from techsapo_ops.spec.models.base import (
    FilePath,
    HostName,
    HostPort,
    ListenHost,
    Name,
    Port,
    Section,
    Text,
    Url,
)


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
    hsts: bool = False
    """Tell browsers to come back by HTTPS only."""
    redirect: bool = True
    """Send plain HTTP to HTTPS where there is a certificate."""


class Certificate(Section):
    """A certificate this stack serves or watches."""

    source: Literal["acme", "self-signed", "files", "external"] = "self-signed"
    """acme: issued and renewed by an ACME authority such as Let's Encrypt; self-signed: made here;
    files: yours, from two files; external: served elsewhere, only watched."""
    names: tuple[HostName, ...] = ()
    """Host names it is for; `*.` in front for a wildcard."""
    contact: Text | None = None
    """E-mail address for the ACME account."""
    directory: Url = "https://acme-v02.api.letsencrypt.org/directory"
    """ACME directory."""
    staging: bool = False
    """Use Let's Encrypt's staging directory: untrusted certificates, generous limits."""
    challenge: Literal["http-01", "dns-01"] = "http-01"
    """How the ACME authority checks the names; wildcards need dns-01."""
    dns_hook: Text | None = None
    """Program that sets and removes the TXT records of dns-01."""
    key_type: Literal["ecdsa", "rsa"] = "ecdsa"
    """Kind of private key."""
    certificate_file: FilePath | None = None
    """source files: the chain, PEM."""
    private_key_file: FilePath | None = None
    """source files: the private key, PEM."""
    address: HostPort | None = None
    """source external: host:port whose certificate is watched."""
    install_to: FilePath | None = None
    """Folder in which links to the deployed chain are kept, e.g. /etc/ssl/certs."""
    deploy_hooks: tuple[Text, ...] = ()
    """Commands run after a new certificate is in place."""
