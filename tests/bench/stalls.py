"""/ping and short questions while four people paste 19 KB, and for how long the event loop is held at most.

A prober (prober.py) asks /ping every 2 ms: after the start, while what is imported late is asked for the
first time, and while four people paste, each the next log as soon as the last one is answered.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.bench.analyses import LOG, PEER, REALISTIC, SHORT, question
from tests.bench.load import STREAM, Ask, Load, client, measured, ready
from tests.bench.prober import Probes, probing, quantile
from tests.bench.row import Row
from tests.bench.served import Options, Running, bare_peer, served, upstream
from tests.bench.texts import log, pasted

PASTES = Ask(lambda number: question(pasted(19_000, number)))
PEOPLE = 4
START, SECONDS, ALONE = 3.0, 10.0, 40
PING, HELD, SLOWER = 15.0, 10.0, 1.3
"""Milliseconds of /ping at p99 and of the longest hold; how many times as long a short question may take."""
PHASES = ("after the start", "what is asked first", "four people paste")
CHAT = {"model": "techsapo-premium", "messages": [{"role": "user", "content": "ディスクが一杯です"}]}
FIRST = (
    LOG,
    replace(LOG, headers=STREAM),
    Ask(
        lambda number: {"error_output": f"{number} {log(2_000)}"},
        "/api/v1/analyze-logs",
        answered="root_cause",
    ),
    Ask(lambda _: CHAT, "/v1/chat/completions", answered="choices"),
)
PAGES = ("/metrics", "/", "/dashboards", "/help", "/openapi.json", "/api/v1/status")


@dataclass(frozen=True)
class Stalls:
    """Of one server: the probes by phase, and the milliseconds of short questions alone and beside pastes."""

    phases: dict[str, Probes]
    alone: list[float]
    beside: list[float]
    pastes: int

    @property
    def ping(self) -> float:
        """Milliseconds of /ping beside pastes at p99, less what the machine is to blame for."""
        return quantile(self.phases[PHASES[-1]].own, 0.99)

    @property
    def slower(self) -> float:
        return quantile(self.beside, 0.95) / quantile(self.alone, 0.95)

    @property
    def held(self) -> float:
        return max(probes.held for probes in self.phases.values())


def run(options: Options) -> Iterator[Row]:
    """Each turn starts each tree's server anew: what is imported late is late once."""
    found: dict[str, list[Stalls]] = {name: [] for name in options.trees}
    peers: list[float] = []
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        short, url = (stack.enter_context(upstream(answers)) for answers in ("equal", "different"))
        peer = stack.enter_context(bare_peer(short, next(iter(options.trees.values())).python))
        for number in range(options.turns):
            peers.append(1000 * measured(peer, Load(SHORT, 200, 1000, 4).shortened(options.share)).processor)
            for name, tree in options.trees.items():
                folder = Path(directory) / f"{name}-{number}"
                with served(tree, folder, url, REALISTIC) as running:
                    found[name].append(asyncio.run(_stalls(running, options.share)))
    for name, turns in found.items():
        for turn in turns:
            _print(name, turn)
    yield from _rows([*found.values()][-1], median(peers))


def _rows(turns: list[Stalls], peer: float) -> Iterator[Row]:
    yield Row("/ping, four paste, p99", median(one.ping for one in turns), peer, PING / PEER)
    beside = median(quantile(one.beside, 0.95) for one in turns)
    alone = median(quantile(one.alone, 0.95) for one in turns)
    yield Row("short question, p95", beside, alone, SLOWER)
    for phase in PHASES:
        held = median(one.phases[phase].held for one in turns)
        yield Row(f"held, {phase}", held, peer, HELD / PEER)


def _print(name: str, one: Stalls) -> None:
    print(
        f"{name}: /ping p99 {one.ping:.1f} ms ({_met(one.ping, PING)}) beside {one.pastes} pastes;"
        f" short question p95 {one.slower:.2f} times alone ({quantile(one.alone, 0.95):.0f} ms;"
        f" {_met(one.slower, SLOWER)}); event loop held at most {one.held:.1f} ms ({_met(one.held, HELD)})"
    )
    for phase, probes in one.phases.items():
        p50, p99, longest = (quantile(probes.times, share) for share in (0.5, 0.99, 1))
        print(
            f"    {phase:22} {len(probes.times):5} probes, p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
            f" longest {longest:.1f} ms; held {probes.held:.1f} ms"
        )


def _met(value: float, most: float) -> str:
    return f"{'target' if value <= most else 'MISSED'} {most:g}"


async def _stalls(running: Running, share: float) -> Stalls:
    await ready(running)
    with probing(running) as prober:
        await asyncio.sleep(START)
        phases = {PHASES[0]: prober.take()}
        async with client(running) as asking:
            for path in PAGES:
                await asking.get(path)
            for ask in FIRST:
                for _ in range(2):
                    await asking.ask(ask)
            phases[PHASES[1]] = prober.take()
            alone = [(await asking.ask(SHORT))[0] for _ in range(ALONE)]
            prober.take()
            end = time.perf_counter() + SECONDS * share
            *pastes, beside = await asyncio.gather(
                *(asking.repeat(PASTES, end) for _ in range(PEOPLE)), asking.repeat(SHORT, end)
            )
            phases[PHASES[2]] = prober.take()
    return Stalls(
        phases, [1000 * one for one in alone], [1000 * one for one in beside], sum(map(len, pastes))
    )
