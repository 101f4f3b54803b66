"""LiteLLM's proxy with one worker beside `techsapo serve`, at the same load in the same run.

`python -m tests.bench.peers PATH/TO/litellm` (see `make bench-peers`). A request to the proxy is one upstream
call; one to the app is an analysis of 6 in two rounds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.bench.analyses import SHORT, TINY
from tests.bench.load import CALLS, ROUNDS, Ask, Load, Measured, measured, memory, ready
from tests.bench.served import Running, Tree, free_port, served, started_process, upstream
from tests.bench.upstream import DELAY

CONCURRENT = 200
CALL = 0.45
"""Milliseconds of processor time that a call of ours is to take at most."""
COMPLETION = Ask(
    lambda number: {"model": "m", "messages": [{"role": "user", "content": f"ディスクが一杯です {number}"}]},
    "/v1/chat/completions",
    answered="choices",
    ready="/health/liveliness",
)


@contextmanager
def proxy(litellm: str, directory: Path, url: str) -> Iterator[Running]:
    """LiteLLM's proxy before the stand-in of the vendors, at a free port."""
    port = free_port()
    config = {
        "model_list": [
            {
                "model_name": "m",
                "litellm_params": {"model": "openai/m", "api_base": f"{url}/v1", "api_key": "k"},
            }
        ],
        # Without a key it starts only where it is told that this is known.
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},
    }
    (directory / "litellm.yaml").write_text(yaml.safe_dump(config))
    argv = [
        litellm, "--config", str(directory / "litellm.yaml"), "--host", "127.0.0.1", "--port", str(port),
        "--num_workers", "1", "--telemetry", "False",
    ]  # fmt: skip
    with started_process(argv, directory / "litellm.log") as process:
        yield Running(port, process)


@dataclass(frozen=True)
class Column:
    """What one of them took; `calls` are those that a request makes, in so many `rounds`."""

    load: Measured
    ready: float
    memory: float
    calls: int
    rounds: int

    def rows(self) -> Iterator[tuple[str, str]]:
        yield "requests/s", f"{self.load.rate:.0f}"
        yield "upstream calls/s", f"{self.load.rate * self.calls:.0f}"
        yield "processor ms a call", f"{self.call:.2f}"
        yield "added ms alone, median", f"{1000 * (self.load.alone - self.rounds * DELAY):.1f}"
        yield "MB", f"{self.memory:.0f}"
        yield "ready after s", f"{self.ready:.2f}"

    @property
    def call(self) -> float:
        return 1000 * self.load.processor / self.calls


def column(started: AbstractContextManager[Running], ask: Ask, calls: int, rounds: int) -> Column:
    """Start a server, load it, stop it."""
    with started as running:
        began = asyncio.run(ready(running, ask.ready))
        load = measured(running, Load(ask, CONCURRENT, 1000, 40))
        return Column(load, began, memory(running), calls, rounds)


def main(litellm: str) -> None:
    """Measure both and print a column for each."""
    with tempfile.TemporaryDirectory() as name, upstream() as url:
        directory = Path(name)
        ours = column(served(Tree(), directory / "app", url, TINY), SHORT, CALLS, ROUNDS)
        theirs = column(proxy(litellm, directory, url), COMPLETION, 1, 1)
    print(f"{'at ' + str(CONCURRENT) + ' concurrent':28} {'techsapo serve':>16} {'LiteLLM proxy':>16}")
    for (label, one), (_, two) in zip(ours.rows(), theirs.rows(), strict=True):
        print(f"{label:28} {one:>16} {two:>16}")
    print(f"a call takes {ours.call / theirs.call:.2f} times the processor time of the proxy's")
    print(f"{ours.call:.2f} ms a call ({'target' if ours.call <= CALL else 'MISSED'} {CALL})")


if __name__ == "__main__":
    main(sys.argv[1])
