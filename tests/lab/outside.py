"""What is outside of a machine: vendors, Slack, a watcher, a CA with its DNS.

Run as a program, in a network of its own, with a folder and the machine's address: they speak TLS on port
443, and the name that is asked for says which it is. In the folder `ca.pem` is who vouches for them,
`issuer.pem` who issues certificates; `ready` tells that all are there, `told.json` in the end what they were
sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from acme_ca import challenge_dns, pebble
from slack import PATH, incoming_webhook
from vendors import vendor
from vendors.wires import WIRES

from techsapo_ops.certs.self_signed import ensure

OPENAI, ANTHROPIC, SLACK_HOST, WATCHER_HOST = (
    "api.openai.com", "api.anthropic.com", "hooks.slack.com", "hc-ping.com",
)  # fmt: skip
ACME = "acme-v02.api.letsencrypt.org"
HOSTS = (OPENAI, ANTHROPIC, SLACK_HOST, WATCHER_HOST, ACME)
VALUES = {
    "SITE": "ops.example.com",
    "MAIL": "ops@example.com",
    "ACME_DIRECTORY": f"https://{ACME}/dir",
    "OPENAI_API_KEY": "sk-of-the-lab",
    "ANTHROPIC_API_KEY": "sk-ant-of-the-lab",
    "OFFSITE": "/srv/elsewhere",
}
"""What a reader of docs/tutorial.md puts in the place of its examples."""
WATCHER = f"https://{WATCHER_HOST}/a-check"
SLACK = f"https://{SLACK_HOST}{PATH}"


class _Watcher(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: told.json has it."""


async def _front(tls: ssl.SSLContext, ports: Mapping[str, int]) -> asyncio.Server:
    """Port 443: `ports` has by name the server behind, on loopback. The CA alone speaks TLS there, too."""
    asked: dict[int, str] = {}

    def named(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        asked[id(connection)] = name or ""

    tls.sni_callback = named  # type: ignore[assignment]
    unlooked = ssl.create_default_context()
    unlooked.check_hostname, unlooked.verify_mode = False, ssl.CERT_NONE

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = asked.pop(id(writer.get_extra_info("ssl_object")))
        within = unlooked if name == ACME else None
        inner, outer = await asyncio.open_connection("127.0.0.1", ports[name], ssl=within)
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    return await asyncio.start_server(met, "0.0.0.0", 443, ssl=tls)


async def main(folder: Path, machine: str) -> None:
    """Everything, until SIGTERM."""
    own = ensure(folder / "tls", list(HOSTS), now=datetime.now(UTC))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own.chain, own.key)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    watcher = ThreadingHTTPServer(("127.0.0.1", 0), _Watcher)
    Thread(target=watcher.serve_forever, daemon=True).start()
    with (
        incoming_webhook() as slack,
        challenge_dns(folder / "dns") as dns,
        pebble(folder / "acme", dns, 80) as ca,
    ):
        dns.point(VALUES["SITE"], machine)
        async with vendor(WIRES["openai"]) as openai, vendor(WIRES["anthropic"]) as anthropic:
            ports = {
                OPENAI: _port(openai.url), ANTHROPIC: _port(anthropic.url), SLACK_HOST: _port(slack.url),
                WATCHER_HOST: watcher.server_port, ACME: _port(ca.directory),
            }  # fmt: skip
            await _front(tls, ports)
            (folder / "ca.pem").write_text((folder / ".ca/ca.pem").read_text())
            (folder / "issuer.pem").write_bytes(ca.root())
            (folder / "ready").touch()
            await over.wait()
            told = {
                "messages": [each.title for each in slack.messages],
                "refused": [*slack.refused, *map(str, openai.refused), *map(str, anthropic.refused)],
                "asked": {"openai": len(openai.asked), "anthropic": len(anthropic.asked)},
            }
            (folder / "told.json").write_text(json.dumps(told))
    watcher.shutdown()


def _port(url: str) -> int:
    return int(url.split("/")[2].rpartition(":")[2])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
