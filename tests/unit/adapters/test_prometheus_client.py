"""The API clients against answers that are not what they ask for."""

from __future__ import annotations

import json

import peers
import pytest
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus


def says(value: object, status: str = "200 OK") -> peers.Behaviour:
    return peers.http(status, json.dumps(value).encode(), "application/json")


def test_values_that_are_no_numbers_in_json_are_read() -> None:
    result = [
        {"metric": {"job": str(n)}, "value": [1.5, v]} for n, v in enumerate(["+Inf", "-Inf", "NaN", "2.5"])
    ]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    with peers.peer(says(body)) as port:
        values = [sample.value for sample in Prometheus(f"http://127.0.0.1:{port}").query("x")]
    assert values[0] == float("inf")
    assert values[1] == float("-inf")
    assert values[2] != values[2]
    assert values[3] == 2.5


def test_a_range_vector_is_refused_with_a_hint() -> None:
    body = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    with peers.peer(says(body)) as port, pytest.raises(ApiError, match="is a matrix"):
        Prometheus(f"http://127.0.0.1:{port}").query("x[5m]")


def test_prometheus_s_own_error_is_passed_on_with_the_address() -> None:
    body = {"status": "error", "errorType": "bad_data", "error": "unexpected end of input"}
    with peers.peer(says(body, "400 Bad Request")) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(ApiError, match="unexpected end of input") as caught:
            Prometheus(url).query("sum(")
    assert f"{url}/api/v1/query" in str(caught.value)


@each_row("body", [b"<html>", b"[]", b"3", b'{"status": "success"}', b'{"status": "success", "data": 1}'])
def test_another_program_on_the_port_is_told(body: bytes) -> None:
    with peers.peer(peers.http("200 OK", body)) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(ApiError, match=url):
            Prometheus(url).targets()


def test_alertmanager_s_error_status_and_odd_answers_are_told() -> None:
    with peers.peer(peers.http("500 No", b"boom")) as port, pytest.raises(ApiError, match="HTTP 500: boom"):
        Alertmanager(f"http://127.0.0.1:{port}").alerts()
    with peers.peer(says({})) as port, pytest.raises(ApiError, match="not an answer of Alertmanager"):
        Alertmanager(f"http://127.0.0.1:{port}").alerts()
    with peers.peer(says([])) as port, pytest.raises(ApiError, match="not an answer of Alertmanager"):
        Alertmanager(f"http://127.0.0.1:{port}").status()
