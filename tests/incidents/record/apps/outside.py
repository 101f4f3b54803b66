"""What is outside the shop: `outside.py psp|dns|customers …`. None of its logs or metrics are recorded.

psp is a strict stand-in for a payment provider: it refuses keys it does not know and more than its rate. dns
answers for the outside names. customers behave like people and robots.
"""

from __future__ import annotations

import json
import random
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PSP = Path("/etc/psp")
HOST = "shop.example"


class Charges(BaseHTTPRequestHandler):
    """POST /v1/charges with a known key; psp.json has the keys, the rate and the seconds an answer takes."""

    protocol_version = "HTTP/1.1"
    calls: dict[str, list[float]] = {}
    lock = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = json.loads((PSP / "psp.json").read_text())
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        now = time.monotonic()
        with self.lock:
            recent = [when for when in self.calls.get(key, []) if when > now - 1]
            self.calls[key] = [*recent, now]
        if key not in given["keys"]:
            self._answer(401, f"the key ending in {key[-4:]} was revoked")
        elif len(recent) >= given["rate"]:
            self._answer(429, f"rate limit of {given['rate']} requests per second exceeded, retry later")
        elif random.random() < given.get("unavailable", 0.02):
            self._answer(503, "try again")
        else:
            time.sleep(random.uniform(0.6, 1.4) * given["seconds"])
            self._answer(200, "charged")

    def do_GET(self) -> None:
        self._answer(200, "the API of the payment provider")

    def _answer(self, code: int, text: str) -> None:
        body = json.dumps(text).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def psp() -> None:
    server = ThreadingHTTPServer(("127.0.0.40", 443), Charges)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PSP / "psp.pem", PSP / "psp.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def dns(address: str) -> None:
    """Answer A questions for the names in /etc/psp/names.json, and that others do not exist."""
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind((address, 53))
    while True:
        question, peer = door.recvfrom(512)
        parts, place = [], 12
        while question[place]:
            parts.append(question[place + 1 : place + 1 + question[place]].decode())
            place += question[place] + 1
        kind, end = question[place + 1 : place + 3], place + 5
        names = json.loads((PSP / "names.json").read_text())
        known = names.get(".".join(parts).lower())
        records = b""
        if known and kind == b"\x00\x01":
            records = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04" + socket.inet_aton(known)
        flags = b"\x81\x80" if known else b"\x81\x83"
        counts = b"\x00\x01" + (b"\x00\x01" if records else b"\x00\x00") + b"\x00\x00\x00\x00"
        door.sendto(question[:2] + flags + counts + question[12:end] + records, peer)


class Customers:
    """`rate` visits a second, on the whole, each a few requests."""

    def __init__(self, rate: float, scheme: str, kind: str) -> None:
        self.rate, self.scheme, self.kind = rate, scheme, kind

    def request(self, method: str, path: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        connection: HTTPConnection
        if self.scheme == "https":
            connection = HTTPSConnection(HOST, timeout=12, context=ssl.create_default_context())
        else:
            connection = HTTPConnection(HOST, timeout=12)
        headers = {"Authorization": f"Bearer {token}", "User-Agent": self.kind}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def visit(self) -> None:
        user, session = f"customer{random.randint(1, 400)}", f"{random.getrandbits(48):x}"
        for _ in range(2):
            self.request("GET", f"/products/{random.randint(1, 300)}")
        if self.kind == "readers":
            return
        self.request("GET", f"/search?maker={random.randint(1, 500)}")
        login = urllib.parse.urlencode({"user": user, "password": "correct horse"})
        code, token = self.request("POST", "/login", login.encode())
        self.request("POST", f"/cart/{session}", random.randbytes(400).hex().encode())
        if random.random() < 0.3:
            self.request("POST", "/images", random.randbytes(24_000))
        if code == 200:
            self.request("POST", f"/checkout/{session}", b"", json.loads(token))

    def robots(self) -> None:
        """Guess a password now and then, and look for software that is not here."""
        while True:
            time.sleep(random.uniform(4, 9))
            guess = f"user={random.choice(['admin', 'root', 'test'])}&password=123456"
            self.request("POST", "/login", guess.encode())
            self.request("GET", "/wp-login.php")

    def run(self) -> None:
        if self.kind == "customers":
            threading.Thread(target=self.robots, daemon=True).start()
        while True:
            time.sleep(random.expovariate(self.rate))
            if threading.active_count() < 60:
                threading.Thread(target=self.visit, daemon=True).start()


def idle(count: int) -> None:
    """Open connections, send a header's beginning, and never its end."""
    doors = []
    for _ in range(count):
        door = socket.create_connection((HOST, 80))
        door.sendall(b"GET /products/1 HTTP/1.1\r\nHost: shop.example\r\nX-Wait: ")
        doors.append(door)
        time.sleep(0.05)
    time.sleep(3600)


def main() -> None:
    name, *rest = sys.argv[1:]
    if name == "psp":
        psp()
    elif name == "dns":
        dns(rest[0])
    elif name == "idle":
        idle(int(rest[0]))
    else:
        Customers(float(rest[0]), rest[1], name).run()


if __name__ == "__main__":
    main()
