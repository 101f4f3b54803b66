"""The orchestrator in tests: its app in this process, or the real command in another."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from servers import Server, free_port, http_ok, running

from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models import Spec

QUICK = {
    name: {"kind": "simulated", "seed": seed, "accuracy": 1, "latency": "1ms"}
    for name, seed in (("sim-a", 1), ("sim-b", 2), ("sim-c", 3))
}


def make_spec(**sections: Any) -> Spec:
    """A spec with three quick, always right simulated providers, and without Redis."""
    return Spec.model_validate(
        {"project": "techsapo", "redis": {"enabled": False}, "providers": QUICK, **sections}
    )


def make_app(directory: Path, **sections: Any) -> App:
    """An instance named app-1 whose data is below `directory`."""
    return App(Options(make_spec(**sections), "app-1", directory / "data"))


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks to `app` while its lifespan runs."""
    transport = httpx.ASGITransport(app.asgi)
    async with (
        app.asgi.router.lifespan_context(app.asgi),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
    ):
        yield client


@contextmanager
def serving(
    directory: Path,
    *,
    data_in_state: bool = False,
    instance: str = "app-1",
    port: int | None = None,
    prefix: Sequence[str] = (),
    **sections: Any,
) -> Iterator[Server]:
    """`techsapo serve` as a process of its own; its log is server.log.

    Its data is below data/, or where it is by default, in the state directory. `prefix` is a command that
    runs the rest of its arguments.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    spec = {
        "project": "techsapo",
        "redis": {"enabled": False},
        "providers": QUICK,
        **sections,
    }
    spec.setdefault("app", {}).setdefault("drain", "0s")
    (directory / "techsapo.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")
    argv = [
        *prefix, sys.executable, "-m", "techsapo_ops", "serve", "--file", str(directory / "techsapo.yaml"),
        "--instance", instance, "--port", str(port),
        *([] if data_in_state else ["--data", str(directory / "data")]),
    ]  # fmt: skip
    with running(argv, directory, port, lambda: http_ok(f"http://127.0.0.1:{port}/ping")) as server:
        yield server


def share_key(*directories: Path) -> None:
    """Give instances in these folders the key that kept answers are sealed by, as `up` does."""
    for directory in directories:
        keys = directory / ".techsapo" / "keys"
        keys.mkdir(parents=True)
        (keys / "app-key").write_text("5e" * 24)


def log_lines(server: Server) -> list[dict[str, Any]]:
    """The lines of the log, which must all be JSON objects."""
    return [json.loads(line) for line in server.log().splitlines()]


def ask(server: Server, prompt: str, **more: Any) -> httpx.Response:
    """POST a question to a running server."""
    return httpx.post(
        f"{server.url}/api/v1/generate", json={"prompt": prompt, **more}, timeout=60, trust_env=False
    )
