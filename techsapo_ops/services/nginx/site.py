"""nginx.conf: the load balancer in front of the app, and TLS.

No path of the project is written into the file unless a certificate lies outside its tree: nginx takes
relative ones from its prefix (`-p`), or for certificates from the folder of its configuration file. It
could not hold every path, since it has no escape for `$`.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.catalogue.series import ANSWERING
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.nginx.balancing import (
    BODY_SECONDS,
    COMPOSE_TLS_PORT,
    HEADER_SECONDS,
    SHUTDOWN_SECONDS,
    Upstream,
    upstream_of,
)
from techsapo_ops.spec.front_door import KEYED_ROUTES, RETURN_HEADER, SIGN_IN_PATH, hsts_header, resolved_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import MAX_BODY, SignIn
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.maintenance import FOLDER, OPEN_PATHS, PAGE, PROBLEM, RETRY_AFTER
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

NGINX_CONF = "nginx/nginx.conf"
SIGN_IN_CONF = "nginx/sign-in.conf"
CONFIG_LOCATION = "/nginx-config"
"""Answers with the digest of the configuration that the answering worker runs, to this host alone."""
SIGN_IN_LOCATION = "/nginx-sign-in"
"""Answers as the sign-in proxy does when nginx asks it, to this host alone: 401 where nobody signed in."""
_DIGEST_HERE = "0" * 64
_DIGEST_LINE = re.compile(r'return 200 "([0-9a-f]{64})\\n";')

_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f$]")
_LOOPBACK = ("127.0.0.1", "::1")


def _page(ja: tuple[str, str], en: tuple[str, str]) -> str:
    """A page of a heading and a text in both languages, as a word of nginx.conf in single quotes: neither has
    one of them, a `$` or a backslash, and together they have less than 4 KB.
    """
    return (
        '<!doctype html><html lang="ja"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{ja[0]} / {en[0]}</title></head><body><main><h1>{ja[0]}</h1><p>{ja[1]}</p>"
        f'<section lang="en"><h1>{en[0]}</h1><p>{en[1]}</p></section></main></body></html>'
    )


_SIGN_IN_DOWN = _page(
    (
        "いまはサインインできません",
        "サインインのサービスが応答しません。数分後に再読み込みしてください。"
        "続くときは、このスタックの管理者に連絡してください。"
        "管理者はホストで <code>techsapo health</code> を実行してください。",
    ),
    (
        "Sign-in is unavailable",
        "The sign-in service does not answer. Reload this page in a few minutes. If it goes on, tell whoever "
        "runs this stack; on the host, <code>techsapo health</code> says more.",
    ),
)
"""What a browser shows while the sign-in proxy does not answer."""
_SIGN_IN_REFUSED = _page(
    (
        "このアカウントでは開けません",
        "サインインのサービスが、このアカウントの利用を認めていません。"
        "別のアカウントでサインインし直すか、このスタックの管理者に連絡してください。"
        '<a href="/oauth2/sign_out">サインアウト</a>',
    ),
    (
        "This account may not open this page",
        "The sign-in service does not let this account in. Sign in with another one, or ask whoever runs "
        'this stack. <a href="/oauth2/sign_out">Sign out</a>',
    ),
)
"""What a browser shows where the sign-in proxy knows who it is and refuses."""


def nginx_files(
    topology: Topology, templates: Templates, upstream: Upstream | None = None
) -> tuple[RenderedFile, ...]:
    """nginx/nginx.conf. Raises OpsError for a certificate folder that nginx can't be given."""
    # On several machines each has its own, of one configuration.
    service, spec = topology.of_kind("nginx")[0], topology.spec
    certificate = spec.served_certificate
    signing_in = spec.app.auth.sign_in
    content = templates.render(
        "nginx/nginx.conf.j2",
        user=_user(topology, service),
        shutdown_seconds=SHUTDOWN_SECONDS,
        header_seconds=HEADER_SECONDS,
        body_seconds=BODY_SECONDS,
        client_rate=spec.nginx.client_rate,
        client_connections=spec.app.limits.client_connections,
        max_body=MAX_BODY,
        read_timeout=math.ceil(seconds(spec.app.limits.request_timeout)) + 10,
        upstream=upstream or upstream_of(topology),
        listen=_listen(topology, service, topology.listens(service).port),
        tls_listen=_listen(topology, service, topology.places.bound(spec.nginx.tls_listen, COMPOSE_TLS_PORT)),
        server_name=spec.nginx.server_name,
        status_networks=_status_networks(topology, service),
        tls=certificate is not None,
        redirect_host=_redirect_host(spec),
        keyed_paths=ANSWERING if spec.retries_keyed else (),
        maintenance=_maintenance(topology, service),
        maintenance_page=PAGE,
        maintenance_problem=PROBLEM,
        maintenance_open=OPEN_PATHS,
        maintenance_retry_after=RETRY_AFTER,
        hsts=hsts_header(spec),
        certificate=_certificate_folder(topology, certificate) if certificate is not None else "",
        quote=quote,
        sign_in=signing_in.address if signing_in is not None else None,
        sign_in_path=SIGN_IN_PATH,
        sign_in_location=SIGN_IN_LOCATION,
        sign_in_down=_SIGN_IN_DOWN,
        sign_in_refused=_SIGN_IN_REFUSED,
        return_header=RETURN_HEADER,
        keyed_routes=KEYED_ROUTES,
        keys=resolved_auth(spec, topology.layout.environment).required,
        config_location=CONFIG_LOCATION,
        probed=topology.has("blackbox-exporter"),
        config_digest=_DIGEST_HERE,
    )
    # `nginx -T` prints the disk and a reload that fails is silent: only the workers know what they run.
    digest = hashlib.sha256(content.encode()).hexdigest()
    conf = RenderedFile(NGINX_CONF, content.replace(_DIGEST_HERE, digest))
    return (conf, *_sign_in_files(signing_in))


def _maintenance(topology: Topology, service: Service) -> str:
    """The folder whose files say that maintenance goes on, as nginx finds it from its own folder."""
    folder = Path(topology.config_dir()) / "nginx" / FOLDER
    return str(folder) if topology.places.isolated else os.path.relpath(folder, topology.data_dir(service))


def _sign_in_files(signing_in: SignIn | None) -> tuple[RenderedFile, ...]:
    """What tells the app who signed in, with the secret by which it knows nginx."""
    if signing_in is None or signing_in.secret is None:
        return ()
    content = (
        f"proxy_set_header X-Techsapo-User $techsapo_signed_in;\n"
        f'proxy_set_header X-Techsapo-Sign-In "{signing_in.secret.reveal()}";\n'
    )
    return (RenderedFile(SIGN_IN_CONF, content, mode=0o600, secret=True, owner="nginx"),)


def config_digest(file: RenderedFile) -> str | None:
    """What nginx answers at CONFIG_LOCATION once it runs `file`; None where a template has no such place."""
    match = _DIGEST_LINE.search(file.content)
    return match[1] if match is not None else None


def quote(text: str) -> str:
    """`text` as one word of nginx.conf. Raises OpsError for `$` and control characters."""
    if _UNWRITABLE.search(text):
        raise OpsError(msg("nginx can't use the path {text}", text=repr(text)), msg("use a folder without $"))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _user(topology: Topology, service: Service) -> str | None:
    if not topology.places.starts_as_root(topology.host):
        return None
    # Without `user`, workers of a root master become Debian's www-data, who may not reach this folder.
    return service.user or "root"


def _listen(topology: Topology, service: Service, port: int) -> str:
    if topology.places.isolated:
        return str(port)
    host = topology.listens(service).host
    if host == "::":
        return f"[::]:{port} ipv6only=off"
    return str(Address(host, port))


def _status_networks(topology: Topology, service: Service) -> tuple[str, ...]:
    if topology.places.neighbours:
        return (*_LOOPBACK, *topology.places.neighbours)
    # A connection from this host to one of its own other addresses comes from that address.
    own = topology.listens(service).host
    return _LOOPBACK if own in {*_LOOPBACK, "0.0.0.0", "::"} else (*_LOOPBACK, own)  # noqa: S104 - compared


def _redirect_host(spec: Spec) -> str:
    name = spec.nginx.server_name
    host = name if name is not None and not name.startswith("*") else "$host"
    return host if spec.nginx.tls_listen == 443 else f"{host}:{spec.nginx.tls_listen}"


def _certificate_folder(topology: Topology, name: str) -> str:
    folder = topology.certificate_dir(name)
    return os.path.relpath(folder, Path(topology.config_dir()) / "nginx")
