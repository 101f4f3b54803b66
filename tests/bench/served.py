"""The servers of a bench: `techsapo serve` of a tree of the source, the bare peer, the vendors' stand-in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

Answers = Literal["equal", "different"]
"""What vendors answer: the same short text to every call, or 2,000 characters that differ with each call."""
HERE = Path(__file__).parents[2]
_PREFIXED = {"openai-compatible", "openai", "openrouter"}
_MAKE_AUDIT = (
    "import sys, pathlib; from techsapo_ops.stores.audit.store import AuditStore; "
    "AuditStore(None, pathlib.Path(sys.argv[1])).ping()"
)


@dataclass(frozen=True)
class Tree:
    """A folder with the source, and the Python that runs it; by default that of its own .venv.

    Another `python` gets the packages of the .venv: both must be of one minor version.
    """

    folder: Path = HERE
    python: str | None = None

    @property
    def _venv(self) -> Path:
        return self.folder / ".venv"

    def argv(self, *arguments: str) -> list[str]:
        """The command that runs Python with `arguments`."""
        own = self._venv / "bin" / "python"
        return [self.python or (str(own) if own.exists() else sys.executable), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of such a command; its modules are compiled once, as on a host."""
        packages = [str(self.folder), *map(str, self._venv.glob("lib/python*/site-packages"))]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return environment | {"PYTHONPATH": ":".join(packages)}

    def run(self, *arguments: str) -> str:
        """What Python prints. Raises CalledProcessError."""
        return subprocess.run(
            self.argv(*arguments), cwd=self.folder, env=self.environment, check=True, text=True,
            stdout=subprocess.PIPE,
        ).stdout.strip()  # fmt: skip

    def described(self) -> str:
        """The folder, and which Python runs it."""
        return f"{self.folder}: {self.run('-c', 'import sys; print(sys.executable, sys.version)')}"


@dataclass(frozen=True)
class Options:
    """What is measured: `trees` by the name under which each is printed, in turn so many times, each load
    with that `share` of its questions.
    """

    trees: Mapping[str, Tree]
    turns: int = 3
    share: float = 1.0


@dataclass(frozen=True)
class Running:
    """A server that was started at `port`; `headers` let in whoever asks."""

    port: int
    process: subprocess.Popen[Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What a server is run with: its providers' kinds, further sections of its spec, whether it has API keys,
    and a Redis of its own, and what Python is given to run it.
    """

    kinds: tuple[str, ...] = ("openai-compatible",) * 3
    sections: Mapping[str, Any] = field(default_factory=dict)
    keys: bool = False
    redis: bool = False
    program: tuple[str, ...] = ("-m", "techsapo_ops")


@contextmanager
def served(tree: Tree, directory: Path, url: str, how: Surroundings) -> Iterator[Running]:
    """`techsapo serve` of `tree`, whose providers are at `url`.

    As at every start but the first, the audit database is there: only to make it alembic is imported (10 MB).
    """
    data = directory / "data"
    data.mkdir(parents=True)
    tree.run("-c", _MAKE_AUDIT, str(data / "audit.sqlite"))
    port, headers = free_port(), {}
    spec: dict[str, Any] = {
        "project": "bench",
        "redis": {"enabled": False},
        "providers": {f"p{n}": provider(kind, url) for n, kind in enumerate(how.kinds)},
        "budget": {"monthly_usd": 1_000_000, "daily_usd": 1_000_000},
        **how.sections,
    }
    spec["app"] = {"drain": "0s", **spec.get("app", {})}
    with ExitStack() as stack:
        if how.redis:
            spec["redis"] = {"port": stack.enter_context(redis(directory / "redis")), "accounts": False}
        if how.keys:
            spec["app"]["auth"] = {"required": True, "keys_file": str(directory / "keys.json")}
            headers["Authorization"] = f"Bearer {api_key(directory / 'keys.json')}"
        (directory / "techsapo.yaml").write_text(yaml.safe_dump(spec))
        argv = tree.argv(
            *how.program, "serve", "--file", str(directory / "techsapo.yaml"),
            "--port", str(port), "--data", str(data),
        )  # fmt: skip
        process = stack.enter_context(started_process(argv, directory / "log", tree))
        yield Running(port, process, headers)


def provider(kind: str, url: str) -> dict[str, Any]:
    """The section of a provider of this kind at `url`."""
    return {
        "kind": kind,
        "model": "m",
        "base_url": f"{url}/v1" if kind in _PREFIXED else url,
        "api_key": "k",
        "price": {"input": 1, "output": 2},
    }


@contextmanager
def bare_peer(url: str, python: str | None = None) -> Iterator[Running]:
    """The bare peer at a free port, run by `python`."""
    port, tree = free_port(), Tree(python=python)
    argv = tree.argv("-m", "tests.bench.bare_peer", str(port), url)
    with started_process(argv, None, tree) as process:
        yield Running(port, process)


@contextmanager
def upstream(answers: Answers = "equal") -> Iterator[str]:
    """The vendors' stand-in in a process of its own; its address."""
    argv = [sys.executable, "-m", "tests.bench.upstream", answers]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate()


@contextmanager
def started_process(
    argv: list[str], log: Path | None, tree: Tree | None = None
) -> Iterator[subprocess.Popen[Any]]:
    """`argv` as a process, in the folder of `tree` where one is given, ended at the end of the block."""
    where: dict[str, Any] = {"cwd": tree.folder, "env": tree.environment} if tree else {}
    with (log or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **where
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def redis(directory: Path) -> Iterator[int]:
    """A Redis server of the lab; its port."""
    sys.path.insert(0, str(HERE / "tests" / "lab"))
    import servers

    with servers.redis(directory) as server:
        yield server.port


def api_key(file: Path) -> str:
    """A new API key in `file`, whose rate is never reached."""
    sys.path.insert(0, str(HERE / "tests" / "lab"))
    from api_keys import make_key

    key: str = make_key(file, "bench", per_minute=10**6)
    return key


def free_port() -> int:
    """A port of the loopback where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
