"""What is outside the machines: an app that fails on demand, and a webhook that writes down what it is told.

Run as a program, `cluster_world.py FOLDER ADDRESS`: on port 4000 the app, which fails while FOLDER/down is
there, and on port 5000 the webhook, which appends each message to FOLDER/told as a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

APP, WEBHOOK = 4000, 5000


def main(folder: Path, address: str) -> None:
    written = Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer(500 if (folder / "down").exists() else 200, b"up_since 1\n")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            line = {"at": time.time(), "from": self.client_address[0], "to": self.path, "message": body}
            with written, (folder / "told").open("a") as file:
                file.write(json.dumps(line) + "\n")
            self._answer(200)

    servers = [ThreadingHTTPServer((address, port), Handler) for port in (APP, WEBHOOK)]
    threads = [Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
