"""The edge of the stack: nginx and the certificates it serves."""

from __future__ import annotations

from typing import Literal

from techsapo_ops.spec.models.base import HostName, HostPort, ListenHost, Name, Port, Section, Text, Url


class Nginx(Section):
    """The load balancer in front of several instances or of certificates."""

    enabled: bool | None = None
    """Default: where the spec has several instances or certificates."""
    host: ListenHost = "127.0.0.1"
    listen: Port = 8080
    tls_listen: Port = 8443
    server_name: HostName | None = None
    certificate: Name | None = None
    """Name under `certificates`; default: the first one."""
    hsts: bool = False
    redirect: bool = True
    """Send plain HTTP to HTTPS where there is a certificate."""


class Certificate(Section):
    """A certificate this stack serves or watches."""

    source: Literal["acme", "self-signed", "files", "external"] = "self-signed"
    names: tuple[HostName, ...] = ()
    contact: Text | None = None
    directory: Url = "https://acme-v02.api.letsencrypt.org/directory"
    """ACME directory."""
    staging: bool = False
    challenge: Literal["http-01", "dns-01"] = "http-01"
    dns_hook: Text | None = None
    key_type: Literal["ecdsa", "rsa"] = "ecdsa"
    certificate_file: str | None = None
    """source files: the chain, PEM."""
    private_key_file: str | None = None
    address: HostPort | None = None
    """source external: host:port whose certificate is watched."""
    install_to: str | None = None
    """Folder in which links to the deployed chain are kept, e.g. /etc/ssl/certs."""
    deploy_hooks: tuple[Text, ...] = ()
