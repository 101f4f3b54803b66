"""Ask, stream, analyse logs and complete chats with two providers on a real model: `make real-model`.

What the model answers is poor: 135 million parameters. That everything else holds is the point.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.bench.served import free_port, started_process
from tests.real_model.built import Built, built
from tests.real_model.investigations import DEADLINE
from tests.real_model.steps import Place, Step, steps

MODEL = "smollm2"
READY_SECONDS = 180.0
PROVIDERS_FAULT = frozenset({"Provider failed", "Wall-bounce analysis failed"})
"""What the app logs where a model gave nothing usable, or, as in the step with the deadline, not in time."""
# A small model repeats itself without an end; what keeps it from that differs, so that the two differ.
SETTINGS = {
    "calm": {"temperature": 0.2, "frequency_penalty": 0.5},
    "lively": {"temperature": 0.5, "frequency_penalty": 0.6, "seed": 7},
}


def spec(url: str, port: int, request_timeout: str) -> dict[str, Any]:
    """Two providers on the model at `url`, for an app that listens on `port`."""
    provider = {
        "kind": "openai-compatible", "base_url": f"{url}/v1", "model": MODEL, "max_output_tokens": 512,
        "timeout": "300s", "price": {"input": 0, "output": 0},
    }  # fmt: skip
    return {
        "project": "real-model",
        "locale": "en",
        "wallbounce": {"language": "auto"},
        "redis": {"enabled": False},
        "app": {"port": port, "drain": "0s", "limits": {"request_timeout": request_timeout}},
        "investigate": {"deadline": f"{DEADLINE:g}s"},
        "providers": {name: {**provider, "extra_body": more} for name, more in SETTINGS.items()},
    }


@contextmanager
def running(argv: list[str], log: Path, url: str, path: str) -> Iterator[str]:
    """`argv` as a process that answers at `url`, once it does; it is ended at the end of the block."""
    with started_process(argv, log) as process:
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and process.poll() is None:
            try:
                if httpx.get(f"{url}{path}", timeout=5, trust_env=False).status_code == 200:
                    yield url
                    return
            except httpx.TransportError:
                pass  # not yet
            time.sleep(0.5)
        raise SystemExit(f"{argv[0]} did not get ready:\n{log.read_text('utf-8')[-2000:]}")


def app(folder: Path, url: str, request_timeout: str) -> Any:
    """`techsapo serve` in a folder of its own."""
    folder.mkdir(mode=0o700)
    port = free_port()
    (folder / "techsapo.yaml").write_text(yaml.safe_dump(spec(url, port, request_timeout)), encoding="utf-8")
    argv = [
        sys.executable, "-m", "techsapo_ops", "serve",
        "--file", str(folder / "techsapo.yaml"), "--instance", "app-1",
    ]  # fmt: skip
    return running(argv, folder / "serve.log", f"http://127.0.0.1:{port}", "/ping")


def main() -> int:
    """Build what is missing, do every step, print a table; 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_model")
    parser.add_argument("--server", type=Path, help="llama-server, where it is built already")
    parser.add_argument("--model", type=Path, help="a model's GGUF file, with --server")
    parser.add_argument(
        "--threads", type=int, default=1, help="of the model's server; more wait for each other"
    )
    parser.add_argument("only", nargs="*", metavar="STEP", help="such as investigations; default: all steps")
    given = parser.parse_args()
    if (given.server is None) is not (given.model is None):
        parser.error("--server and --model belong together")
    found = Built(given.server, given.model) if given.server else built(say)
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="real-model-")))
        port = free_port()
        argv = [
            str(found.server), "-m", str(found.model), "--alias", MODEL, "-c", "16384", "-np", "2",
            "-t", str(given.threads), "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        url = ends.enter_context(running(argv, folder / "llama.log", f"http://127.0.0.1:{port}", "/health"))
        say("the model is loaded")
        ours = ends.enter_context(app(folder / "app", url, "900s"))
        late = ends.enter_context(app(folder / "late", url, "5s"))
        done = []
        for step in steps(Place(folder / "app", ours, late, say), given.only):
            say(f"{'holds' if step.holds else 'BROKEN'}  {step.seconds:6.1f} s  {step.name}: {step.says}")
            done.append(step)
        done.append(logged(folder))
    report(done)
    return 0 if all(step.holds for step in done) else 1


def logged(folder: Path) -> Step:
    """Whether the apps logged JSON alone, and no error but of providers that gave nothing usable in time."""
    logs = [(folder / name / "serve.log").read_text("utf-8") for name in ("app", "late")]
    lines = [line for log in logs for line in log.splitlines()]
    odd = [line for line in lines if not line.startswith("{") or "Traceback" in line]
    told = [json.loads(line) for line in lines if line.startswith("{")]
    errors = [each for each in told if each.get("level") in {"error", "critical"}]
    others = [each for each in errors if each["message"] not in PROVIDERS_FAULT]
    worst = (*odd, *map(str, others), "")[0][:300]
    fine = f"{len(lines)} lines, all JSON; {len(errors)} failures of providers, no other error"
    return Step("the app's log", not odd and not others, 0.0, worst or fine)


def report(done: list[Step]) -> None:
    """A table of what held, and what the model made of it."""
    cores = len(os.sched_getaffinity(0))
    load = f"load {os.getloadavg()[0]:.0f}"
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {cores} cores, {platform.machine()}, {load}\n")
    print("| | holds | s | what the model made of it |\n|---|---|---|---|")
    for step in done:
        print(f"| {step.name} | {'yes' if step.holds else '**no**'} | {step.seconds:.1f} | {step.says} |")


def say(text: str) -> None:
    """Tell how it goes."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
