from __future__ import annotations

import http.server
import math
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.prometheus import Sample
from techsapo_ops.adapters.promtool import Promtool

pytestmark = pytest.mark.needs("promtool")

VECTOR = (
    b'{"status":"success","data":{"resultType":"vector","result":'
    b'[{"metric":{"job":"a"},"value":[12.5,"7"]},{"metric":{},"value":[12.5,"+Inf"]}]}}'
)
SCALAR = b'{"status":"success","data":{"resultType":"scalar","result":[12.5,"7"]}}'
WRONG = b'{"status":"error","errorType":"bad_data","error":"parse error: unclosed"}'


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send(200, b"# TYPE loaded gauge\nloaded 4\nloaded_too 5\n")

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        code, body = (400, WRONG) if b"count" in asked else (200, SCALAR if b"query=7" in asked else VECTOR)
        self._send(code, body)

    def _send(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what matters."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def there(url: str, tmp_path: Path) -> Promtool:
    return asked(url, tmp_path)


def asked(url: str, folder: Path) -> Promtool:
    def run(command: Command) -> Completed:
        done = subprocess.run(command.argv, capture_output=True, cwd=folder, check=False)
        return Completed(command, done.returncode, done.stdout, done.stderr)

    return Promtool(url, run)


def test_an_instant_vector_is_read_as_over_http(there: Promtool) -> None:
    assert there.query("up") == (Sample({"job": "a"}, 7, 12.5), Sample({}, math.inf, 12.5))


def test_a_metric_of_its_own_is_found_and_no_archive_left(there: Promtool, tmp_path: Path) -> None:
    assert there.own("loaded") == 4
    assert there.own("load") is None
    assert list(tmp_path.iterdir()) == []


def test_what_prometheus_refuses_and_what_is_no_vector_is_an_error(there: Promtool) -> None:
    with pytest.raises(ApiError, match=r"^http://127\.0\.0\.1:\d+: bad_data: parse error: unclosed"):
        there.query("count(")
    with pytest.raises(ApiError, match=r"promtool answers .* to '7'"):
        there.query("7")


def test_one_that_is_down_is_an_error(tmp_path: Path) -> None:
    down = asked("http://127.0.0.1:1", tmp_path)
    with pytest.raises(ApiError, match="refused"):
        down.query("up")
    with pytest.raises(ApiError, match="refused"):
        down.own("loaded")
