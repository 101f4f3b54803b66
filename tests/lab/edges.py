"""A stack whose nginx serves a certificate from pebble."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acme_ca import Dns, Pebble, challenge_dns, pebble
from cryptography import x509
from projects import Project, only_redis, project
from servers import free_port

from techsapo_ops.certs.needs import Certificates, certificates_of
from techsapo_ops.cli.main import app
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.output import print_error
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError

NAME = "techsapo.example.com"


@dataclass
class Edge:
    """A stack that is up, and the CA that validates through its nginx."""

    project: Project
    dns: Dns
    ca: Pebble

    @property
    def tls_port(self) -> int:
        port: int = self.project.spec["nginx"]["tls_listen"]
        return port

    @property
    def folder(self) -> Path:
        return self.project.state / "certs/techsapo"

    def certificate(self, **changes: Any) -> None:
        """Change the certificate in the spec."""
        certificates = {"techsapo": {**self.project.spec["certificates"]["techsapo"], **changes}}
        self.project.write(certificates=certificates)

    def certificates(self) -> Certificates:
        """The certificates, as a command opens them."""
        return certificates_of(open_stack(open_project(self.project.directory / "techsapo.yaml")), print)

    def served(self, name: str = NAME) -> x509.Certificate:
        return served(self.tls_port, name)

    def live(self) -> str:
        return (self.folder / "live").readlink().name

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def status(self, code: int = 0) -> dict[str, Any]:
        """What `certs status --json` says of it."""
        (found,) = json.loads(self.techsapo("status", "--json", code=code))
        return dict(found)

    def orders(self) -> int:
        """How many orders the CA has got so far."""
        return self.ca.server.log().count("Added order ")

    def techsapo(self, *arguments: str, code: int = 0) -> str:
        """What `techsapo certs …` says, on both streams."""
        ended, said = self.ending(*arguments)
        assert ended == code, f"techsapo certs {' '.join(arguments)}: {ended}\n{said}"
        return said

    def ending(self, *arguments: str) -> tuple[int, str]:
        """Exit code and words of `techsapo certs …`. In this process: a new one takes half a second."""
        said = io.StringIO()
        ended = 0
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                app(
                    ["certs", *arguments, "--file", str(self.project.directory / "techsapo.yaml")],
                    prog_name="techsapo",
                )
            except OpsError as error:
                print_error(error)
                ended = error.exit_code
            except SystemExit as end:
                ended = int(end.code or 0)
        return ended, said.getvalue()


def served(port: int, name: str = NAME) -> x509.Certificate:
    """What a TLS client sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def acme_spec(directory: str, ca_file: Path) -> dict[str, Any]:
    """App and nginx with one certificate from the CA at `directory`."""
    spec = only_redis(
        nginx={"listen": free_port(), "tls_listen": free_port(), "server_name": NAME},
        certificates={
            "techsapo": {
                "source": "acme",
                "names": [NAME],
                "contact": "ops@example.com",
                "directory": directory,
                "ca_file": str(ca_file),
            }
        },
        schedule={"by": "none"},
    )
    spec["redis"]["enabled"] = False
    return spec


@contextmanager
def acme_edge(directory: Path) -> Iterator[Edge]:
    """A stack that is up with its stand-in certificate, and pebble beside it."""
    port = free_port()
    spec = acme_spec(f"https://127.0.0.1:{port}/dir", directory / "pebble/.ca/ca.pem")
    with (
        challenge_dns(directory / "dns") as dns,
        pebble(directory / "pebble", dns, spec["nginx"]["listen"], port=port) as ca,
        project(spec) as made,
    ):
        made.run("up", "--yes")
        yield Edge(made, dns, ca)
