"""What has to be done to get from what runs to what is wanted: a pure computation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.desired import Desired, RenderedFile, Unit
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

_NAMED = 3


def plan(desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
    """Steps from `observed` to `desired`, in the order of performing them.

    With `only`, just those services and what they need; nothing is removed then. What somebody has stopped is
    left as it is. A service that is no
    longer wanted is stopped first where another one takes its port, else last: until then nginx, reloaded
    before, still sends requests there. Raises OpsError for a name in `only` that the stack does not have.
    """
    topology = desired.topology
    chosen = [name for name in select(topology, only) if name not in observed.stopped]
    wanted = in_order(topology, chosen)
    units = {u.service: u for u in desired.units}
    steps = [_step(units[name], desired, observed) for name in wanted]
    if only:
        return Plan(tuple(steps))
    ports = {s.port for s in topology.services}
    gone = [s for name, s in reversed(list(observed.services.items())) if name not in units]
    removed = [
        (s, Step(Action.REMOVE, s.name, msg("no longer in the spec, or the program is gone"))) for s in gone
    ]
    first = [step for s, step in removed if s.port in ports]
    last = [step for s, step in removed if s.port not in ports]
    return Plan((*first, *steps, *last))


def select(topology: Topology, only: Sequence[str]) -> tuple[str, ...]:
    """Names of the services meant by `only` (names or kinds) with all that they need; all when empty."""
    if not only:
        return tuple(s.name for s in topology.services)
    by_name = {s.name: s for s in topology.services}
    chosen: dict[str, None] = {}
    todo = [name for word in only for name in _meant(topology, word)]
    while todo:
        name = todo.pop()
        if name not in chosen:
            chosen[name] = None
            todo.extend(by_name[name].needs)
    return tuple(s.name for s in topology.services if s.name in chosen)


def _meant(topology: Topology, word: str) -> list[str]:
    names = [s.name for s in topology.services if word in {s.name, s.kind}]
    if names:
        return names
    for absent in topology.absent:
        if absent.kind == word:
            raise OpsError(
                msg("{word} is not part of this stack: {reason}", word=word, reason=absent.reason),
                absent.remedy,
            )
    raise unknown(msg("service"), word, [s.name for s in topology.services])


def named(words: Sequence[str], names: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    """Those of `names` that `words` mean, each a name or a kind, once each and in the words' order.

    `kinds` has the kind of a name that has one. Raises OpsError for a word that means none.
    """
    matched: dict[str, None] = {}
    for word in words:
        meant = [name for name in names if word in {name, kinds.get(name)}]
        if not meant:
            raise unknown(msg("service"), word, names)
        matched.update(dict.fromkeys(meant))
    return list(matched)


def in_order(topology: Topology, names: Iterable[str]) -> tuple[str, ...]:
    """`names` with each service after those that are started before it, otherwise in the topology's order."""
    left = set(names)
    done: list[str] = []
    while left:
        ready = (
            s.name
            for s in topology.services
            if s.name in left and not left.intersection(topology.comes_after(s))
        )
        first = next(ready, None)
        if first is None:
            raise OpsError(
                msg("services depend on each other in a circle: {left}", left=", ".join(sorted(left)))
            )
        done.append(first)
        left.remove(first)
    return tuple(done)


def _step(unit: Unit, desired: Desired, observed: Observed) -> Step:
    name = unit.service
    seen = observed.services.get(name)
    if seen is None:
        return Step(Action.CREATE, name, msg("not there yet"))
    if not observed.running or seen.state is State.STOPPED:
        return Step(Action.CREATE, name, msg("is gone") if seen.gone else msg("is stopped"))
    if seen.drift:
        return Step(Action.RECREATE, name, seen.drift)
    if not seen.fingerprint:
        return Step(Action.RECREATE, name, msg("the last start did not finish"))
    if seen.fingerprint != unit.fingerprint:
        return Step(Action.RECREATE, name, msg("{defined_by} changed", defined_by=unit.defined_by))
    if seen.state is State.CRASHED:
        return Step(Action.RESTART, name, msg("kept exiting"))
    if seen.state is State.BACKOFF:
        return Step(
            Action.RESTART,
            name,
            msg("keeps exiting ({restarts} restarts)", restarts=seen.restarts),
        )
    if seen.config != unit.config_digest(desired.files):
        now = file_digests(unit, desired.files)
        changed = changed_paths(seen, now)
        reload = unit.reload_signal is not None and not any(
            path.startswith(unit.restart_config) for path in changed if unit.restart_config
        )
        return Step(Action.RELOAD if reload else Action.RESTART, name, _in_words(changed))
    return Step(Action.NOTHING, name, msg("up to date"))


def file_digests(unit: Unit, files: Iterable[RenderedFile]) -> dict[str, str]:
    """Digest by path of the files that `unit` reads."""
    return {f.path: f.digest for f in files if unit.config and f.path.startswith(unit.config)}


def changed_paths(seen: ObservedService, now: Mapping[str, str]) -> list[str]:
    """Paths of the configuration files that differ from those it was started with, sorted."""
    return sorted(p for p in {*seen.files, *now} if seen.files.get(p) != now.get(p))


def _in_words(paths: Sequence[str]) -> str:
    named = joined(", ", paths[:_NAMED])
    if len(paths) > _NAMED:
        return msg("{paths} and {count} more changed", paths=named, count=len(paths) - _NAMED)
    return msg("{paths} changed", paths=named)
