"""Pebble, a real ACME CA, with its DNS server; and a peer that answers its validations wrongly."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from servers import Server, binary, free_port, running, tcp_open

from techsapo_ops.certs.self_signed import ensure


@dataclass
class Dns:
    """pebble-challtestsrv: every name is 127.0.0.1, and TXT records are set through its management port."""

    server: Server
    port: int
    management: int

    def point(self, name: str, address: str | None) -> None:
        """Let `name` resolve to another address; None: to 127.0.0.1 again."""
        action, body = (
            ("clear-a", {"host": name})
            if address is None
            else ("add-a", {"host": name, "addresses": [address]})
        )
        url = f"http://127.0.0.1:{self.management}/{action}"
        urllib.request.urlopen(url, data=json.dumps(body).encode(), timeout=60).close()

    def hook(self, folder: Path) -> str:
        """A dns-01 hook that sets and clears the TXT record here."""
        script = folder / "dns-hook.py"
        script.write_text(
            "import json, sys, urllib.request\n"
            "action, record, value = sys.argv[1:]\n"
            "path = {'set': 'set-txt', 'clear': 'clear-txt'}[action]\n"
            "body = json.dumps({'host': record + '.', 'value': value}).encode()\n"
            f"urllib.request.urlopen('http://127.0.0.1:{self.management}/' + path, data=body, timeout=5)\n"
            f"open({str(folder / 'dns-hook.log')!r}, 'a').write(action + ' ' + record + '\\n')\n",
            encoding="utf-8",
        )
        return f"python3 {script}"


@dataclass
class Pebble:
    """A running pebble."""

    server: Server
    directory: str
    """URL of its ACME directory."""
    ca_file: Path
    """The CA of its HTTPS certificate."""
    management: str

    def root(self) -> bytes:
        """The root of the certificates that it issues; another one after each start."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(f"{self.management}/roots/0", context=context, timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def certificate_status(self, serial: str) -> str:
        """`Valid` or `Revoked`, as the CA has it."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f"{self.management}/cert-status-by-serial/{serial}"
        with urllib.request.urlopen(url, context=context, timeout=60) as answer:
            found: str = json.load(answer)["Status"]
        return found


@contextmanager
def challenge_dns(directory: Path) -> Iterator[Dns]:
    """The DNS server that pebble asks."""
    port, management = free_port(), free_port()
    argv = [
        binary("pebble-challtestsrv"), "-dns01", f"127.0.0.1:{port}", "-http01", "", "-https01", "",
        "-tlsalpn01", "", "-doh", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
        "-management", f"127.0.0.1:{management}",
    ]  # fmt: skip
    with running(argv, directory, management, lambda: tcp_open(management)) as server:
        yield Dns(server, port, management)


@contextmanager
def pebble(
    directory: Path,
    dns: Dns,
    http_port: int,
    *,
    port: int | None = None,
    validity: int = 90 * 86400,
    bindings: Mapping[str, str] | None = None,
) -> Iterator[Pebble]:
    """Pebble that validates http-01 on `http_port` and issues for `validity` seconds.

    With `bindings`, HMAC keys (base64url) by key id, it makes no account without one of them.
    """
    port, management = port or free_port(), free_port()
    directory.mkdir(parents=True, exist_ok=True)
    own = ensure(directory / "tls", ["localhost", "127.0.0.1"], now=datetime.now(UTC))
    config = {
        "pebble": {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(own.chain),
            "privateKey": str(own.key),
            "httpPort": http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bindings is not None,
            "externalAccountMACKeys": dict(bindings or {}),
            "domainBlocklist": ["blocked.example.com"],
            "retryAfter": {"authz": -1, "order": -1},
            "certificateValidityPeriod": validity,
        }
    }
    path = directory / "pebble.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    variables = {
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_AUTHZREUSE": "0",
        "PEBBLE_WFE_NONCEREJECT": "0",  # the library asks again once, and pebble may refuse twice
    }
    argv = [
        "/usr/bin/env", *(f"{k}={v}" for k, v in variables.items()),
        binary("pebble"), "-config", str(path), "-dnsserver", f"127.0.0.1:{dns.port}",
    ]  # fmt: skip
    with running(argv, directory, port, lambda: tcp_open(port) and tcp_open(management)) as server:
        yield Pebble(
            server,
            f"https://127.0.0.1:{port}/dir",
            directory / ".ca/ca.pem",
            f"https://127.0.0.1:{management}",
        )
