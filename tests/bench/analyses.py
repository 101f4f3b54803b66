"""Full analyses through POST /api/v1/generate of a real `techsapo serve`, beside a bare peer in the same run.

An analysis asks three providers and lets each grade the others: 6 upstream calls of 50 ms, in two rounds. The
bare peer (bare_peer.py) makes 6 calls of a short question for each request and nothing else. The cache takes
part; every question is a new one. Rows but `tiny` have API keys, a Redis, masking, and answers that all
differ; the audit row is on disk before an answer is given. Targets are milliseconds of the machine on which
the bare peer takes PEER; what passes or fails is the ratio to the bare peer of the same run.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median

from tests.bench.load import CALLS, STREAM, Ask, Load, Measured, measured, memory
from tests.bench.row import Row
from tests.bench.served import Options, Running, Surroundings, bare_peer, served, upstream
from tests.bench.texts import pasted

PEER = 1.15
"""Milliseconds of processor time that the bare peer takes for a request on the machine of the targets."""
MEMORY = 140.0
"""MB of a server and its helpers."""
TINY = Surroundings(sections={"app": {"limits": {"concurrency": 800}}})
REALISTIC = Surroundings(
    sections={"app": {"limits": {"concurrency": 800, "max_prompt": 70_000}}}, keys=True, redis=True
)


@dataclass(frozen=True)
class Workload:
    """What is asked of which server, and its targets: milliseconds of processor time for an analysis, and
    those that are added to the vendors' time where none else runs.
    """

    load: Load
    surroundings: Surroundings
    processor: float
    added: float


def question(prompt: str) -> dict[str, str]:
    """The body of a question that three providers answer."""
    return {"prompt": prompt, "task_type": "premium"}


SHORT = Ask(lambda number: question(f"ディスクが一杯です {number}"))
LOG = Ask(lambda number: question(pasted(8 * 1024, number)))
LONG = Ask(lambda number: question(pasted(64 * 1024, number)))
WORKLOADS = {
    "tiny": Workload(Load(SHORT, 200, 1000, 40), TINY, 2.8, 7.0),
    "realistic": Workload(Load(LOG, 16, 160, 20), REALISTIC, 12.0, 20.0),
    "long": Workload(Load(LONG, 4, 24, 8), REALISTIC, 60.0, 100.0),
    "8 streams, 50 scrapes": Workload(
        Load(replace(LOG, headers=STREAM), 8, 100, 8, scrapes=50), REALISTIC, 16.0, 24.0
    ),
}


def run(options: Options) -> Iterator[Row]:
    """Print what each tree took, then yield the rows of the last one."""
    for tree in options.trees.values():
        print(tree.described())
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        short, different = (stack.enter_context(upstream(answers)) for answers in ("equal", "different"))
        peer = stack.enter_context(bare_peer(short, next(iter(options.trees.values())).python))
        servers: dict[tuple[str, bool], Running] = {}
        for name, tree in options.trees.items():
            for how, url in ((TINY, short), (REALISTIC, different)):
                folder = Path(directory) / f"{name}-{len(servers)}"
                servers[name, how.keys] = stack.enter_context(served(tree, folder, url, how))
        found, used = _turns(options, peer, servers)
    base = found["bare peer", "tiny"]
    print(f"bare peer: {_told(base)}")
    for name in WORKLOADS:
        _print(name, [(tree, found[tree, name], used[tree, name]) for tree in options.trees])
    yield from _rows(found, used, [*options.trees][-1], base)


Found = Mapping[tuple[str, str], Measured]


def _turns(
    options: Options, peer: Running, servers: Mapping[tuple[str, bool], Running]
) -> tuple[Found, Mapping[tuple[str, str], float]]:
    """The medians of every tree and workload, the bare peer's among them, and the most memory."""
    taken: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    used: dict[tuple[str, str], float] = defaultdict(float)
    for _ in range(options.turns):
        for name, workload in WORKLOADS.items():
            load = workload.load.shortened(options.share)
            if workload.surroundings is TINY:
                taken["bare peer", name].append(measured(peer, load))
            for tree in options.trees:
                running = servers[tree, workload.surroundings.keys]
                taken[tree, name].append(measured(running, load))
                used[tree, name] = max(used[tree, name], memory(running))
    return {key: _median(turns) for key, turns in taken.items()}, used


def _median(turns: list[Measured]) -> Measured:
    return Measured(*(median(getattr(one, f.name) for one in turns) for f in fields(Measured)))


def _told(one: Measured) -> str:
    return (
        f"{1000 * one.processor:.2f} ms of processor  +{1000 * one.added:.1f} ms alone"
        f"  {one.rate:.0f} answers/s  {one.rate * CALLS:.0f} upstream calls/s"
    )


def _print(name: str, trees: list[tuple[str, Measured, float]]) -> None:
    """What each tree took, and of two how many times the first one's the second one's is."""
    target = WORKLOADS[name]
    for tree, one, used in trees:
        print(
            f"{name:22} {tree}: {_told(one)}  {used:.0f} MB  {one.question / 1000:.1f} KB asked"
            f"  {one.reply / 1000:.1f} KB a reply"
        )
    for figure, value, most in (
        ("processor", 1000 * trees[-1][1].processor, target.processor),
        ("alone", 1000 * trees[-1][1].added, target.added),
        ("memory", trees[-1][2], MEMORY),
    ):
        print(f"{'':22} {figure} {value:.1f} ({'target' if value <= most else 'MISSED'} {most:g})")
    if len(trees) > 1:
        (_, old, _), (_, new, _) = trees
        print(
            f"{'':22} new/old: processor {new.processor / old.processor:.3f}"
            f"  alone {new.alone / old.alone:.3f} (added {new.added / old.added:.3f})"
            f"  rate {new.rate / old.rate:.3f}  reply {new.reply / old.reply:.3f}"
        )


def _rows(found: Found, used: Mapping[tuple[str, str], float], tree: str, base: Measured) -> Iterator[Row]:
    peer = 1000 * base.processor
    for name, target in WORKLOADS.items():
        one = found[tree, name]
        yield Row(f"{name}, processor", 1000 * one.processor, peer, target.processor / PEER)
        yield Row(f"{name}, added alone", 1000 * one.added, peer, target.added / PEER)
    for how, told in ((TINY, "short questions"), (REALISTIC, "logs")):
        most = max(used[tree, name] for name, load in WORKLOADS.items() if load.surroundings is how)
        yield Row(f"memory, {told}", most, MEMORY, 1.0, "MB")
