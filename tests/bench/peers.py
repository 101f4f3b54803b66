"""LiteLLM's proxy with one worker beside `techsapo serve`, at the same load in the same run.

`python -m tests.bench.peers PATH/TO/litellm` (see `make bench-peers`). A request to the proxy is one upstream
call; one to the app is an analysis of 6 in two rounds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.bench.analyses import (
    CALLS,
    CONCURRENT,
    ROUNDS,
    SIX,
    Ask,
    Measured,
    free_port,
    measure,
    served,
    started_process,
)
from tests.bench.providers import upstream

TIMES = 20
"""How many times as many upstream calls a second as the proxy are wanted."""
COMPLETION = Ask(
    "/v1/chat/completions",
    "/health/liveliness",
    lambda number: {"model": "m", "messages": [{"role": "user", "content": f"ディスクが一杯です {number}"}]},
    "choices",
)


@contextmanager
def proxy(litellm: str, directory: Path, url: str) -> Iterator[tuple[int, Any]]:
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
        yield port, process


def main(litellm: str) -> None:
    """Measure both and print a column for each."""
    with tempfile.TemporaryDirectory() as name, upstream() as url:
        directory = Path(name)
        ours = measure(served(directory / "app", SIX["one kind"], url))
        theirs = measure(proxy(litellm, directory, url), COMPLETION)
    print(f"{'at ' + str(CONCURRENT) + ' concurrent':28} {'techsapo serve':>16} {'LiteLLM proxy':>16}")
    for label, one, two in _rows(ours, theirs):
        print(f"{label:28} {one:>16} {two:>16}")
    times = ours.rate * CALLS / theirs.rate
    print(
        f"{times:.1f} times the proxy's upstream calls ({'target' if times >= TIMES else 'MISSED'} {TIMES})"
    )


def _rows(ours: Measured, theirs: Measured) -> Iterator[tuple[str, str, str]]:
    yield "requests/s", f"{ours.rate:.0f}", f"{theirs.rate:.0f}"
    yield "upstream calls/s", f"{ours.rate * CALLS:.0f}", f"{theirs.rate:.0f}"
    each = 1000 * ours.processor / CALLS, 1000 * theirs.processor
    yield "processor ms a call", f"{each[0]:.2f}", f"{each[1]:.2f}"
    added = (ours.alone - ROUNDS * 0.05) * 1000, (theirs.alone - 0.05) * 1000
    yield "added ms alone, median", f"{added[0]:.1f}", f"{added[1]:.1f}"
    yield "MB", f"{ours.rss:.0f}", f"{theirs.rss:.0f}"
    yield "ready after s", f"{ours.ready:.2f}", f"{theirs.ready:.2f}"


if __name__ == "__main__":
    main(sys.argv[1])
