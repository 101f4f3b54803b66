"""`python -m tests.bench.equal OLD NEW`: whether `serve` of two trees answers the same requests alike.

Both get each request of the script (script.py) at the same time, each with vendors, a Redis and an audit log
of its own. Compared are status, headers and bytes of each answer, the events of streams, what the vendors
were asked, at the end the rows of the audit log and the metrics; times, ids, and the order of what happens at
once are taken out (volatile.py). Exit 1 where anything differs. What a program draws by lot is the same in
both: see PROGRAM.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.equal.callers import Callers, callers
from tests.bench.equal.script import Sent, script
from tests.bench.equal.vendors import Vendors, vendors
from tests.bench.equal.volatile import difference, in_order, metrics, steady
from tests.bench.load import ready
from tests.bench.served import Running, Surroundings, Tree, provider, served

PROGRAM = (
    "-c",
    "import random, runpy, secrets; secrets.randbits = lambda bits: 5; random.random = lambda: 0.0; "
    "runpy.run_module('techsapo_ops', run_name='__main__', alter_sys=True)",
)
"""Peers are shown to graders in an order that is drawn, and pauses before a retry are."""
SHOWN = 5
"""Most differences of a part that are printed."""
LASTING = 0.98
"""Share of the requests after which causes of failures last."""


@dataclass(frozen=True)
class Side:
    """One tree at work."""

    running: Running
    vendors: Vendors
    audit: Path
    callers: Callers

    async def send(self, sent: Sent, session: aiohttp.ClientSession) -> tuple[str, str]:
        """Status line with headers, and body or events, without what differs each time."""
        url = f"http://127.0.0.1:{self.running.port}{sent.path}"
        headers = {"Content-Type": "application/json", **sent.headers}
        if (key := self.callers.keys.get(sent.caller)) is not None:
            headers["Authorization"] = f"Bearer {key}"
        async with session.request(sent.method, url, data=sent.body, headers=headers) as response:
            text = (await response.read()).decode()
        told = sorted(f"{name.lower()}: {value}" for name, value in response.headers.items())
        return steady("\n".join((str(response.status), *told))), in_order(steady(text))

    def rows(self) -> Iterator[str]:
        """The rows of the audit log, oldest first."""
        with closing(sqlite3.connect(self.audit)) as database:
            database.row_factory = sqlite3.Row
            for request in database.execute("SELECT * FROM audit_requests ORDER BY time"):
                yield _row(request)
                calls = database.execute("SELECT * FROM audit_calls WHERE request_row = ?", (request["id"],))
                yield from sorted(map(_row, calls))


def _row(row: sqlite3.Row) -> str:
    """A row without its number in the request: that of a call says only when it ended."""
    named = zip(row.keys(), row, strict=True)
    return steady(", ".join(f'"{name}":{value!r}' for name, value in named if name != "number"))


class Found:
    """What differs, by part: answers, calls, rows …"""

    def __init__(self) -> None:
        self.parts: dict[str, list[str]] = defaultdict(list)

    def compare(self, part: str, sides: Iterable[str], what: str = "") -> None:
        """Note where the two sides differ in this part of `what` was sent."""
        told = difference(*sides)
        if told is not None:
            self.parts[part].append(f"{what}\n    {told}")

    def told(self) -> Iterator[str]:
        """The first differences of each part that has any."""
        for part, each in ((p, e) for p, e in self.parts.items() if e):
            yield f"{part}: {len(each)} differ"
            yield from (f"  {one}" for one in each[:SHOWN])


async def compared(trees: Mapping[str, Tree], count: int, seed: int) -> Found:
    """What differs between two trees."""
    lasting, found = int(LASTING * count), Found()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        async with vendors(seed, lasting) as one, vendors(seed, lasting) as two:
            known = callers(Path(name))
            sides = [
                _started(stack, tree, Path(name) / label, seen, known)
                for (label, tree), seen in zip(trees.items(), (one, two), strict=True)
            ]
            for side in sides:
                await ready(side.running)
            async with aiohttp.ClientSession() as session:
                for sent in script(count, seed):
                    heads, texts = zip(
                        *await asyncio.gather(*(side.send(sent, session) for side in sides)), strict=True
                    )
                    told, calls = sent.described(), (str(side.vendors.of(sent.number)) for side in sides)
                    found.compare("status and headers", heads, told)
                    found.compare("answers", texts, told)
                    found.compare("calls to vendors", calls, told)
                found.compare("metrics", [await _metrics(side, session) for side in sides])
            for side in sides:
                found.parts["calls that a vendor refuses"] += side.vendors.refused
                side.running.process.terminate()
                side.running.process.wait(30)
        found.compare("audit rows", ("\n".join(side.rows()) for side in sides))
        asked = sum(map(len, one.asked.values()))
        print(f"{count} requests, {asked} calls to vendors, {_kept(sides[0])} audit rows")
    return found


def _kept(side: Side) -> int:
    return sum('"prompt_hash"' in row for row in side.rows())


def _started(stack: ExitStack, tree: Tree, folder: Path, seen: Vendors, known: Callers) -> Side:
    (folder / ".techsapo" / "keys").mkdir(parents=True)
    (folder / ".techsapo" / "keys" / "app-key").write_text("5e" * 24)  # digests of prompts are made with it
    providers = {
        f"p{n}": {
            **provider(kind, url), "base_url": url, "attempts": 2, "timeout": "20s",
            "stream": kind == "anthropic",
        }
        for n, (kind, url) in enumerate(seen.urls.items())
    }  # fmt: skip
    sections: dict[str, Any] = {
        "providers": providers,
        "audit": {"prompt": "masked"},
        "wallbounce": {"breaker": {"failures": 50}},
        "app": {"auth": {"required": True, "keys_file": str(known.file)}},
    }
    how = Surroundings(sections=sections, redis=True, program=PROGRAM)
    running = stack.enter_context(served(tree, folder, "", how))
    return Side(running, seen, folder / "data" / "audit.sqlite", known)


async def _metrics(side: Side, session: aiohttp.ClientSession) -> str:
    await asyncio.sleep(1.0)  # until the last rows are counted
    async with session.get(f"http://127.0.0.1:{side.running.port}/metrics") as response:
        return metrics(await response.text())


def main() -> int:
    """Compare the trees of the command line, and print what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.equal")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=37)
    given = parser.parse_args()
    trees = {"old": Tree(given.old.resolve()), "new": Tree(given.new.resolve())}
    told = list(asyncio.run(compared(trees, given.count, given.seed)).told())
    print("\n".join(told) or "all equal")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
