"""The toy: `server.py CONFIG DATA HOST PORT`. GET / greets, PUT / keeps a word, SIGHUP reads CONFIG again."""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

config, data, host, port = Path(sys.argv[1]), Path(sys.argv[2]) / "words.txt", sys.argv[3], int(sys.argv[4])
greeting: list[str] = []


def read(*_: object) -> None:
    greeting[:] = [json.loads(config.read_text())["greeting"]]
    print(f"the greeting is {greeting[0]}", flush=True)


def words() -> list[str]:
    return data.read_text().split() if data.exists() else []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.answer(f"toy_words {len(words())}\n")
        elif self.path == "/words":
            self.answer(" ".join(words()))
        else:
            self.answer(greeting[0])

    def do_PUT(self) -> None:
        with data.open("a") as file:
            file.write(self.rfile.read(int(self.headers["Content-Length"])).decode() + "\n")
        self.answer("kept")


read()
signal.signal(signal.SIGHUP, read)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer((host, port), Handler).serve_forever()
