"""The load on a stack, from inside the network of a lab, and what became of each request."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import wait_for

from techsapo_ops.drills.outcome import Attempt, Outcome, Request
from tests.swarm.load import Load

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Traffic:
    """A load that is under way; `file` has its tries so far."""

    load: Load
    file: Path
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    whole: str | None = None
    """What `file` had at the end."""

    def now(self) -> float:
        """Seconds since it began, as in what `outcome` says."""
        return time.monotonic() - self.began

    def tries(self) -> list[dict[str, Any]]:
        """All tries so far, as the load said them; a line that is being written is left out."""
        text = self.file.read_text() if self.whole is None else self.whole
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def answered(self) -> int:
        """How many requests were answered so far."""
        return sum(not each["reason"] for each in self.tries())

    def flows(self, more: int = 20) -> None:
        """Wait until `more` requests were answered from now on."""
        before = self.answered()
        try:
            wait_for(lambda: self.answered() >= before + more, timeout=120, what=f"{more} more answers")
        except AssertionError as error:
            raise AssertionError(f"{error}; {dict(self.reasons())}") from None

    def outcome(self) -> Outcome:
        """The requests with their tries; those of which no try came to its end are not in it."""
        requests: dict[str, Request] = {}
        for each in self.tries():
            began, ended = each["began"] - self.began, each["ended"] - self.began
            request = requests.setdefault(each["id"], Request(each["id"], began))
            known = (str(each.get(name) or "") for name in ("instance", "execution"))
            request.attempts.append(Attempt(began, ended, each.get("status", 0), each["reason"], *known))
            request.done = each["last"]
        seconds = (self.ended or time.monotonic()) - self.began
        return Outcome(seconds, tuple(requests.values()))

    def failed_first(self) -> int:
        """How many requests failed at their first try."""
        return sum(not request.attempts[0].ok for request in self.outcome().requests)

    def reasons(self) -> Mapping[str, int]:
        """Why tries failed, and how many."""
        return Counter(each["reason"] for each in self.tries() if each["reason"])

    def costs(self) -> Mapping[str, Sequence[float]]:
        """What each answer to an id cost, by id; one that was given again is not paid again."""
        found: dict[str, list[float]] = defaultdict(list)
        for each in self.tries():
            if "cost" in each and not each.get("replayed"):
                found[each["id"]].append(each["cost"])
        return found


@contextmanager
def asking(load: Load, enter: Sequence[str] = (), to: Path | None = None) -> Iterator[Traffic]:
    """The load until the block ends, and then until what is under way has ended.

    `enter` starts its process where it is to ask from, as `SwarmLab.enter_hub` does; without it it asks from
    this machine, as for a stack on one host. `to` keeps the tries.
    """
    with tempfile.TemporaryDirectory(prefix="techsapo-load-") as folder:
        file = to or Path(folder) / "tries.jsonl"
        argv = [*enter, sys.executable, "-m", "tests.swarm.load", load.to_json()]
        with file.open("wb") as out:
            process = subprocess.Popen(
                argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=out, start_new_session=True
            )
            traffic = Traffic(load, file)
            try:
                wait_for(lambda: _alive(process) and file.stat().st_size > 0, what="the first try")
                yield traffic
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait((load.timeout + load.again_after) * (load.retries + 1) + 30)
                finally:
                    process.kill()
                    process.wait(10)
                traffic.ended, traffic.whole = time.monotonic(), file.read_text()
        assert process.returncode == 0, f"the load ended with {process.returncode}"


def _alive(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() in {None, 0}, f"the load ended with {process.returncode}"
    return True
