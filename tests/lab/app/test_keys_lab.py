"""API keys as a user meets them: the command, the running app, nginx in front."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import warm
from api_keys import NEEDED, keys_of, make_key, with_key
from orchestrator import QUICK, ask, log_lines, serving
from servers import Server, free_port, nginx, wait_for

pytestmark = pytest.mark.lab

PRICED = {name: {**p, "price": {"input": 0.0, "output": 50.0}} for name, p in QUICK.items()}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app that needs keys; they are in its directory's own file."""
    budget = {"monthly_usd": 1000, "daily_usd": 900, "count_simulated": True}
    with serving(tmp_path_factory.mktemp("app"), **NEEDED, providers=PRICED, budget=budget) as server:
        yield server


def techsapo(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    argv = [sys.executable, "-m", "techsapo_ops", command, *rest, "--file", str(directory / "techsapo.yaml")]
    return warm.run(argv, {**os.environ, **environment}, text=True)


def test_a_key_opens_the_api_and_a_revoked_one_nothing_any_more(app: Server) -> None:
    assert ask(app, "x").status_code == 401
    done = techsapo(app.directory, "keys", "create", "ci", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    wait_for(lambda: with_key(app, made["key"]).status_code == 200, what="the new key opens")
    assert techsapo(app.directory, "keys", "revoke", made["id"]).returncode == 0
    wait_for(lambda: with_key(app, made["key"]).status_code == 401, what="revoked")
    refused = with_key(app, made["key"])
    assert refused.json()["code"] == "unauthorized"
    assert refused.headers["www-authenticate"].startswith("Bearer")
    metrics = httpx.get(f"{app.url}/metrics", trust_env=False, timeout=60).text
    for reason in ("missing", "revoked"):
        assert f'techsapo_auth_failures_total{{reason="{reason}"}} 0.0' not in metrics
    assert made["key"] not in app.log()
    kept = keys_of(app).read_text()
    assert made["key"] not in kept
    assert made["key"].split("_", 2)[2] not in kept
    assert keys_of(app).stat().st_mode & 0o777 == 0o600


def test_the_command_line_asks_with_the_key_of_its_environment(app: Server) -> None:
    key = make_key(keys_of(app), "me")
    wait_for(lambda: with_key(app, key).status_code == 200, what="the key is known")
    argv = ("ask", "disk full", "--url", app.url, "--json")
    refused = techsapo(app.directory, *argv)
    assert refused.returncode == 1
    assert "TECHSAPO_API_KEY" in refused.stderr
    asked = techsapo(app.directory, *argv, TECHSAPO_API_KEY=key)
    assert json.loads(asked.stdout)["cache"] == "hit"
    log = "systemd[1]: nginx.service: write error: No space left on device\n"
    done = subprocess.run(
        [sys.executable, "-m", "techsapo_ops", "ask", "--log", "-", "--url", app.url, "--json"],
        input=log, capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "TECHSAPO_API_KEY": key},
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (told["problem_category"], told["severity"]) == ("disk", "high")


def test_an_open_api_is_not_put_beyond_loopback_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\napp: {auth: {required: false}}\n")
    done = techsapo(tmp_path, "serve", "--host", "0.0.0.0", "--port", str(free_port()))
    assert done.returncode == 1
    assert "they could spend the providers' budget" in done.stderr


def test_production_does_not_start_without_a_key(tmp_path: Path) -> None:
    providers = {n: {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1",
                     "price": {}} for n in ("a", "b", "c", "d")}  # fmt: skip
    spec = {"project": "techsapo", "providers": providers, "environments": {"production": {}},
            "accepted_exposures": {"no-watcher": "a trial", "no-critical-receiver": "a trial"},
            "monitoring": {"grafana": {"enabled": False}}}  # fmt: skip
    (tmp_path / "techsapo.yaml").write_text(json.dumps(spec))
    done = techsapo(tmp_path, "serve", "-e", "production", "--port", str(free_port()))
    assert done.returncode == 1
    assert "there is none" in done.stderr
    assert "techsapo keys create" in done.stderr


def test_a_broken_file_of_keys_opens_nothing_and_is_told(app: Server) -> None:
    key = make_key(keys_of(app), "ci")
    wait_for(lambda: with_key(app, key).status_code == 200, what="the key opens")
    whole = keys_of(app).read_text()
    keys_of(app).write_text("{")
    wait_for(lambda: with_key(app, key).status_code == 401, what="nothing opens")
    assert any("is not a file of API keys" in str(line.get("trouble")) for line in log_lines(app))
    keys_of(app).write_text(whole)
    wait_for(lambda: with_key(app, key).status_code == 200, what="the key opens again")


def test_a_key_without_the_scope_is_forbidden_and_expired_ones_are_told(app: Server) -> None:
    watcher = make_key(keys_of(app), "prometheus", "monitor")
    past = datetime.now(UTC) - timedelta(seconds=1)
    old = make_key(keys_of(app), "old", expires=past)
    wait_for(lambda: with_key(app, watcher).status_code == 403, what="forbidden")
    wait_for(lambda: "expired" in with_key(app, old).text, what="expired")


def test_a_keys_own_budget_is_its_own(app: Server) -> None:
    poor = make_key(keys_of(app), "poor", daily_usd=0.000001)
    rich = make_key(keys_of(app), "rich")
    wait_for(lambda: with_key(app, rich, "a third").status_code == 200, what="the keys are known")
    refused = with_key(app, poor, "a fourth")
    assert refused.status_code == 402
    assert refused.json()["scope"] == "key"


def test_forwarded_addresses_are_believed_from_our_own_nginx_only(tmp_path: Path) -> None:
    port = free_port()
    trusting = {"app": {"auth": {"required": True, "proxies": ["127.0.0.2"]}}}
    with serving(tmp_path / "app", **trusting) as app:
        conf = f"""
        pid nginx.pid; error_log stderr; events {{}}
        http {{ access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
          uwsgi_temp_path u; scgi_temp_path s;
          server {{ listen 127.0.0.1:{port};
            location / {{ proxy_bind 127.0.0.2; proxy_pass {app.url};
              proxy_set_header X-Forwarded-For $remote_addr; }} }} }}"""
        with nginx(conf, tmp_path / "nginx", port=port) as edge:
            # Through nginx a look at the inside needs a key, directly from this host it does not.
            assert httpx.get(f"{edge.url}/metrics", trust_env=False, timeout=60).status_code == 401
            assert httpx.get(f"{app.url}/metrics", trust_env=False, timeout=60).status_code == 200
            with_key(edge, "nonsense")
            with_key(app, "nonsense", **{"X-Forwarded-For": "203.0.113.9"})
        told = [line["client"] for line in log_lines(app) if line["message"] == "Authentication failed"]
    assert told == ["127.0.0.1", "127.0.0.1", "127.0.0.1"]
