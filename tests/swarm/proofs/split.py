"""Split brain: one machine is cut off while clients on both sides ask; healed, every id is looked for.

Each request is a question that simulated providers answer for money that is not real, so that budgets, keys
and the audit log do what they do for real ones. Redis's master is cut off in every other round.

A question under way at the moment of the cut may be at a vendor, from a host that nobody hears any more. Who
asks it again pays for it again, and no rule of ours can take back what a vendor was asked. These are counted
by themselves, and so are questions whose client hung up after its 10 s, while they were being answered: as
soon as a cable is back, what waited is asked. Of all others none may be paid for twice, or be paid for and
refused.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from projects import Project
from servers import wait_for
from swarm_lab import HOSTS

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground
from tests.swarm.load import Load
from tests.swarm.traffic import Traffic, asking


def prove(ground: Ground, found: Figures) -> None:
    """Cut one off, ask on both sides, heal, and account for every id; each some times."""
    stack, values = ground.stack, defaultdict[str, list[float]](list)
    key = json.loads(
        stack.run("keys", "create", "split", "--plan", "premium", "--per-minute", "60000", "--json").stdout
    )["key"]
    for number in range(ground.cuts):
        master = ground.roles()["Redis's master"]
        alone = master if number % 2 == 0 else next(host for host in HOSTS if host != master)
        for what, value in _split(ground, alone, number, key).items():
            values[what].append(value)
    for what, each in values.items():
        found.add(what, "requests", each, 0 if what in _NEVER else None)


_ANSWERS = frozenset({"accepted", "below_threshold", "refused"})
"""Statuses of rows of an answer; a refusal of all models is one."""
_NEVER = frozenset(
    {
        "majority: failed after one retry",
        "answered, and without a row in the audit log",
        "begun after the cut: in the audit log twice",
        "begun after the cut: paid twice",
        "begun after the cut: refused, and paid for",
        "asked again after the heal, and not answered",
        "asked again after the heal, and answered anew",
    }
)


def _split(ground: Ground, alone: str, number: int, key: str) -> Mapping[str, float]:
    lab, stack = ground.lab, ground.stack
    near = replace(
        ground.load(prefix=f"split-{number}-near-", rate=10, timeout=10),
        key="",
        path="/api/v1/generate",
        body='{"prompt": "split {id}"}',
        headers=(("Authorization", f"Bearer {key}"),),
    )
    url = f"http://{lab.machines[alone].address}"
    far = replace(near, url=url, prefix=f"split-{number}-far-", rate=5)
    with asking(near, lab.enter_hub()) as outside, asking(far, lab.enter(alone)) as inside:
        outside.flows()
        inside.flows()
        lab.cut(alone)
        cut_at = time.monotonic()
        time.sleep(15)
        outside.flows()
        lab.heal(alone)
        outside.flows()
        inside.flows()
    wait_for(lambda: stack.health()["status"] == "healthy", timeout=240, what="healthy")
    given = {**_given(outside), **_given(inside)}
    asked = {r.id for each in (outside, inside) for r in each.outcome().requests}
    caught = _under_way(cut_at, outside, inside)
    rows = _rows(stack, number, given)
    again = _again(ground, near, asked)
    twice = {name for name, row in rows.items() if row.count > 1}
    paid_twice = {name for name, row in rows.items() if row.paid_twice}
    left = {name for name in asked - set(given) if rows[name].paid and _hung_up(name, outside, inside)}
    lost_money = {name for name in asked - set(given) - left if rows[name].paid}
    for what, names in (("in the log twice", twice), ("paid twice", paid_twice), ("lost money", lost_money)):
        for name in sorted(names - caught):
            print(f"{what}, and not under way at the cut: {rows[name]}, {_tries(name, outside, inside)}")
    for name in sorted(name for name in given if rows[name].count < 1):
        print(f"answered, without a row: {rows[name]}, {_tries(name, outside, inside)}")
    for request in outside.outcome().requests:
        if not request.ok:
            print(f"majority, failed: {_tries(request.id, outside)}")
    print(f"majority: {dict(outside.reasons())}; minority: {dict(inside.reasons())}; cut at {cut_at:.1f}")
    return {
        "majority: asked": len(outside.outcome().requests),
        "majority: failed after one retry": outside.outcome().failed_count,
        "minority: asked": len(inside.outcome().requests),
        "minority: refused": inside.outcome().failed_count,
        "answered, and without a row in the audit log": sum(rows[name].count < 1 for name in given),
        "under way at the cut": len(caught),
        "under way at the cut: in the audit log twice": len(twice & caught),
        "under way at the cut: paid twice": len(paid_twice & caught),
        "under way at the cut: refused, and paid for": len(lost_money & caught),
        "begun after the cut: in the audit log twice": len(twice - caught),
        "begun after the cut: paid twice": len(paid_twice - caught),
        "begun after the cut: refused, and paid for": len(lost_money - caught),
        "begun after the cut: its client gone while it was answered": len(left - caught),
        "asked again after the heal, and not answered": len(asked - set(again)),
        "asked again after the heal, and answered anew": sum(again.get(n) != given[n] for n in given),
    }


@dataclass
class _Row:
    """What the audit log has of an id: the rows of an answer, what they are, and each row's paid calls."""

    count: int = 0
    what: dict[str, str] = field(default_factory=dict)
    calls: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def paid(self) -> bool:
        """Whether it cost anything."""
        return any(self.calls.values())

    @property
    def paid_twice(self) -> bool:
        """Whether a provider was paid for two answers. Grades can't be told apart: each gives several."""
        every = sum(self.calls.values(), Counter[str]())
        return any(count > 1 for call, count in every.items() if call.endswith(" answer"))


def _under_way(moment: float, *loads: Traffic) -> Collection[str]:
    """The ids that were asked before a moment, and had no answer at that moment."""
    return {each["id"] for load in loads for each in load.tries() if each["began"] <= moment < each["ended"]}


def _hung_up(name: str, *loads: Traffic) -> bool:
    """Whether the client waited for no answer to its last try."""
    last = [each for load in loads for each in load.tries() if each["id"] == name and each["last"]]
    return bool(last) and all(each["reason"].startswith("no answer within") for each in last)


def _tries(name: str, *loads: Traffic) -> str:
    """Every try of an id: when it began and ended, and what came."""
    tries = [each for load in loads for each in load.tries() if each["id"] == name]
    said = (f"{t['began']:.1f} to {t['ended']:.1f} s {t['reason'] or t.get('answer')}" for t in tries)
    return f"{name}: {', '.join(said)}"


def _given(traffic: Traffic) -> dict[str, str]:
    """The answer's own id for each id that was answered on either try."""
    return {each["id"]: each["answer"] for each in traffic.tries() if not each["reason"]}


def _rows(stack: Project, number: int, given: Collection[str]) -> Mapping[str, _Row]:
    """What the audit log has, by id, once the spools are empty or nothing more comes."""
    query = (
        "SELECT request_id, r.id, r.status, c.provider, c.phase, c.cost_usd > 0 "
        "FROM techsapo_audit.audit_requests r LEFT JOIN techsapo_audit.audit_calls c ON c.request_row = r.id "
        f"WHERE request_id LIKE 'split-{number}-%'"
    )
    found: dict[str, _Row] = {}

    def complete() -> bool:
        said = stack.run("exec", "mysql-a", "mariadb", "-N", "-B", "-e", query).stdout
        found.clear()
        for line in said.splitlines():
            name, row, status, *call, paid = line.split("\t")
            of = found.setdefault(name, _Row())
            of.what[row] = status
            calls = of.calls.setdefault(row, Counter())
            if paid == "1":
                calls[" ".join(call)] += 1
        for of in found.values():
            of.count = sum(status in _ANSWERS for status in of.what.values())
        return set(given) <= set(found)

    try:
        wait_for(complete, timeout=90, what="a row of each answer")
    except AssertionError:  # the figure says how many there are not
        print(f"no row: {sorted(set(given) - set(found))[:10]}")
    return defaultdict(_Row, found)


def _again(ground: Ground, near: Load, names: Collection[str]) -> Mapping[str, str]:
    """Ask each id once more from outside; the answers' own ids, by id."""
    with asking(replace(near, ids=tuple(sorted(names))), ground.lab.enter_hub()) as traffic:
        wait_for(
            lambda: sum(each["last"] for each in traffic.tries()) == len(names),
            timeout=len(names) / near.rate + 120,
            what="each id once more",
        )
    return _given(traffic)
