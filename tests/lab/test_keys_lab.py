"""API keys as a user meets them: the command, the running app, nginx in front."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import QUICK, ask, log_lines, serving
from servers import Server, free_port, nginx, wait_for

pytestmark = pytest.mark.lab

NEEDED = {"app": {"auth": {"required": True}}}


def techsapo(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command, *rest = arguments
    argv = [sys.executable, "-m", "techsapo_ops", command, *rest, "--file", str(directory / "techsapo.yaml")]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def make_key(directory: Path, *options: str) -> dict[str, Any]:
    done = techsapo(directory, "keys", "create", *(options or ("ci",)), "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def with_key(server: Server, key: str, prompt: str = "disk full", **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/api/v1/generate",
        json={"prompt": prompt},
        headers={"Authorization": f"Bearer {key}", **headers},
        timeout=20,
        trust_env=False,
    )


def test_a_key_opens_the_api_and_a_revoked_one_nothing_within_a_second(tmp_path: Path) -> None:
    with serving(tmp_path, **NEEDED) as app:
        assert ask(app, "x").status_code == 401
        made = make_key(tmp_path, "ci")
        wait_for(lambda: with_key(app, made["key"]).status_code == 200, timeout=2, what="the new key opens")
        assert techsapo(tmp_path, "keys", "revoke", made["id"]).returncode == 0
        revoked = time.monotonic()
        wait_for(lambda: with_key(app, made["key"]).status_code == 401, timeout=5, what="revoked")
        assert time.monotonic() - revoked <= 1.0
        refused = with_key(app, made["key"])
        assert refused.json()["code"] == "unauthorized"
        assert refused.headers["www-authenticate"].startswith("Bearer")
        metrics = httpx.get(f"{app.url}/metrics", trust_env=False).text
    assert 'techsapo_auth_failures_total{reason="missing"} 1.0' in metrics
    assert 'techsapo_auth_failures_total{reason="revoked"}' in metrics
    assert made["key"] not in app.log()
    kept = (tmp_path / ".techsapo" / "api-keys" / "keys.json").read_text()
    assert made["key"] not in kept
    assert made["key"].rpartition("_")[2] not in kept
    mode = (tmp_path / ".techsapo" / "api-keys" / "keys.json").stat().st_mode
    assert mode & 0o777 == 0o600


def test_the_command_line_asks_with_the_key_of_its_environment(tmp_path: Path) -> None:
    with serving(tmp_path, **NEEDED) as app:
        key = make_key(tmp_path, "me")["key"]
        argv = ("ask", "disk full", "--url", app.url, "--json")
        refused = techsapo(tmp_path, *argv)
        assert refused.returncode == 1
        assert "TECHSAPO_API_KEY" in refused.stderr
        wait_for(
            lambda: techsapo(tmp_path, *argv, TECHSAPO_API_KEY=key).returncode == 0,
            what="answered with a key",
        )
        streamed = techsapo(tmp_path, *argv, "--stream", TECHSAPO_API_KEY=key)
        assert [json.loads(line)["event"] for line in streamed.stdout.splitlines()] == ["verdict"]  # cached
        fresh = techsapo(
            tmp_path, "ask", "another", "--url", app.url, "--stream", "--json", TECHSAPO_API_KEY=key
        )
        events = [json.loads(line)["event"] for line in fresh.stdout.splitlines()]
        assert events[0] == "answered"
        assert "graded" in events
        assert events[-1] == "verdict"
        log = "systemd[1]: nginx.service: write error: No space left on device\n"
        done = subprocess.run(
            [sys.executable, "-m", "techsapo_ops", "analyze-logs", "--url", app.url, "--json"],
            input=log, capture_output=True, text=True, timeout=60,
            env={"PATH": "/usr/bin:/bin", "TECHSAPO_API_KEY": key},
        )  # fmt: skip
        told = json.loads(done.stdout)
        assert (told["problem_category"], told["severity"]) == ("disk", "high")


def test_production_does_not_start_without_a_key(tmp_path: Path) -> None:
    providers = {n: {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1",
                     "price": {}} for n in ("a", "b", "c", "d")}  # fmt: skip
    spec = {"project": "techsapo", "providers": providers, "environments": {"production": {}},
            "monitoring": {"grafana": {"enabled": False}}}  # fmt: skip
    (tmp_path / "techsapo.yaml").write_text(json.dumps(spec))
    done = techsapo(tmp_path, "serve", "-e", "production", "--port", str(free_port()))
    assert done.returncode == 1
    assert "there is none" in done.stderr
    assert "techsapo keys create" in done.stderr


def test_a_broken_file_of_keys_opens_nothing_and_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, **NEEDED) as app:
        key = make_key(tmp_path, "ci")["key"]
        wait_for(lambda: with_key(app, key).status_code == 200, timeout=2, what="the key opens")
        (tmp_path / ".techsapo" / "api-keys" / "keys.json").write_text("{")
        wait_for(lambda: with_key(app, key).status_code == 401, timeout=3, what="nothing opens")
    assert any("is not a file of API keys" in str(line.get("trouble")) for line in log_lines(app))


def test_a_key_without_the_scope_is_forbidden_and_expired_ones_are_told(tmp_path: Path) -> None:
    with serving(tmp_path, **NEEDED) as app:
        watcher = make_key(tmp_path, "prometheus", "--scope", "monitor")["key"]
        brief = make_key(tmp_path, "brief", "--expires", "1s")["key"]
        wait_for(lambda: with_key(app, watcher).status_code == 403, timeout=3, what="forbidden")
        wait_for(lambda: "expired" in with_key(app, brief).text, timeout=5, what="expired")


def test_a_keys_own_budget_is_its_own(tmp_path: Path) -> None:
    priced = {name: {**p, "price": {"input": 0.0, "output": 50.0}} for name, p in QUICK.items()}
    with serving(tmp_path, **NEEDED, providers=priced, budget={"monthly_usd": 1000, "daily_usd": 900}) as app:
        poor = make_key(tmp_path, "poor", "--daily-usd", "0.000001")["key"]
        rich = make_key(tmp_path, "rich")["key"]
        wait_for(lambda: with_key(app, rich).status_code == 200, timeout=3, what="the keys are known")
        refused = with_key(app, poor, "another")
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
            assert httpx.get(f"{edge.url}/metrics", trust_env=False).status_code == 401
            assert httpx.get(f"{app.url}/metrics", trust_env=False).status_code == 200
            with_key(edge, "nonsense")
            with_key(app, "nonsense", **{"X-Forwarded-For": "203.0.113.9"})
        told = [line["client"] for line in log_lines(app) if line["message"] == "Authentication failed"]
    assert told == ["127.0.0.1", "127.0.0.1", "127.0.0.1"]
