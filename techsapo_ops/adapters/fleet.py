"""The Docker daemons of several machines, asked as if they were one."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from typing_extensions import override

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed, Runner, TimedOut
from techsapo_ops.adapters.questions import each_of
from techsapo_ops.adapters.unreachable import (
    LOOK,
    HostsAway,
    NoManagerError,
    Unreached,
    is_unreached,
    plainly,
    reasons_of,
    why,
)
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

T = TypeVar("T")
_TIMEOUT = 60.0
_OUTSIDE = "This node is not a swarm manager"
_HEARD = ("Error response from daemon", _OUTSIDE)
"""How a client begins what the daemon itself has said: so that it was reached."""
REACH_SECONDS = 6.0
"""Longest time in seconds that a look waits for one machine: a dead one answers nothing at all."""
_LATELY = 10.0
_AGAIN_SECONDS = 2.0
"""For one that did not answer within the last _LATELY seconds: what is asked of others waits no longer."""
_FIRST_SECONDS = 1.0
"""For the first machine to say that it is a manager, before the others are asked as well."""
_MANAGERS = "{{.Hostname}} {{.ManagerStatus}}"
_SILENT: dict[str, float] = {}
"""When a machine was waited for to the end and did not answer, by the way to it: a command has several fleets
of the same machines, and waits once."""
_ASKED: dict[str, float] = {}
"""Since when a machine owes an answer that nobody waits for any more, by the way to it."""
_CHANGES = frozenset(
    f"{what} {change}"
    for what, changes in (
        ("config", ("rm",)),
        ("container", ("create", "rm")),
        ("network", ("create", "rm")),
        ("node", ("demote", "promote", "rm", "update")),
        ("secret", ("rm",)),
        ("service", ("rm", "update")),
        ("stack", ("rm",)),
        ("swarm", ("init", "join", "leave", "update")),
        ("volume", ("create", "rm")),
    )
    for change in changes
)
"""What changes a Swarm, by the two words it begins with."""


class Member(Docker):
    """The Docker of one machine. `before` is called before it changes anything, and may raise OpsError.

    Where it can't be reached, that is told in plain words.
    """

    before: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, runner: Runner, binary: str, name: str, way: str) -> None:
        """`way`: to its daemon, as `docker --host` takes it."""
        super().__init__(runner, binary, way)
        self.name, self.way = name, way

    @property
    def patience(self) -> float:
        """Seconds for which a look waits for it."""
        now = time.monotonic()
        if now - _SILENT.get(self.way, -_LATELY) < _LATELY:
            return _AGAIN_SECONDS
        return max(REACH_SECONDS - (now - _ASKED.get(self.way, now)), _AGAIN_SECONDS)

    def note(self, *, silent: bool, patience: float) -> None:
        """That it was `silent` for as long as it was waited for, or answered."""
        _ASKED.pop(self.way, None)
        if not silent:
            _SILENT.pop(self.way, None)
        elif patience > _AGAIN_SECONDS:
            _SILENT[self.way] = time.monotonic()

    @override
    def words(self, done: Completed) -> str:
        return self._unreached(done).message if is_unreached(done.output) else super().words(done)

    def why(self, done: Completed) -> str:
        """As `words`, for where its name is said already."""
        return self._unreached(done).why if is_unreached(done.output) else super().words(done)

    def _unreached(self, done: Completed) -> Unreached:
        return Unreached(self.name, plainly(done.output, self.name, self.way))

    @override
    def _failure(self, what: str, done: Completed) -> OpsError:
        return self._unreached(done) if is_unreached(done.output) else super()._failure(what, done)

    @override
    def _run(
        self, arguments: Sequence[str], timeout: float = _TIMEOUT, env: Mapping[str, str] | None = None
    ) -> Completed:
        # A host that is active again is in nobody's way: whoever took it away has to bring it back.
        if " ".join(arguments[:2]) in _CHANGES and "active" not in arguments:
            self.before()
        return super()._run(arguments, timeout, env)


class Fleet(Docker):
    """What is done to a container is done on its machine; what is Swarm's own is asked of a manager.

    `hosts` are the ways to the daemons by machine. `unreachable` says, after each look, which machines did
    not answer and why.
    """

    def __init__(self, runner: Runner, binary: str, hosts: Mapping[str, str]) -> None:
        super().__init__(runner, binary)
        self.members = {name: Member(runner, binary, name, host) for name, host in hosts.items()}
        self._where: dict[str, str] = {}
        self._manager: str | None = None

    def ask_before_changes(self, before: Callable[[], None]) -> None:
        """Have `before` called before anything is changed; what it raises keeps that from being done."""
        for member in self.members.values():
            member.before = before

    @property
    def manager(self) -> Docker:
        """A machine whose manager answers. Raises OpsError where none does, or where no quorum is left."""
        if self._manager is None:
            self._manager = self._find_manager()
        return self.members[self._manager]

    def require_quorum(self) -> None:
        """Raise OpsError where no manager answers as one of a quorum."""
        _ = self.manager

    def _find_manager(self) -> str:
        """The first that answers as one of a quorum; where the first one does not, or not soon, the others at
        once: a lost one would be waited for before anything else.
        """
        names = [name for name in self.members if name not in self.unreachable]
        answers: SimpleQueue[tuple[str, Completed | OpsError]] = SimpleQueue()
        chosen = threading.Event()

        def ask(name: str) -> None:
            answers.put((name, self._ask_manager(name, chosen)))

        def begin(those: Sequence[str]) -> None:
            for name in those:  # nobody waits for one that is silent once another one has answered
                threading.Thread(target=ask, args=(name,), name=f"asks {name}", daemon=True).start()

        refusals: dict[str, str] = {}
        away = dict(self.unreachable)
        outside, left, waiting = 0, len(names), names[1:]
        begin(names[:1])
        while left:
            try:
                name, said = answers.get(timeout=_FIRST_SECONDS if waiting else None)
            except Empty:
                begin(waiting)
                waiting = []
                continue
            left -= 1
            if isinstance(said, OpsError):
                refusals[name] = away[name] = why(said, name, self.members[name].way)
            elif said.code == 0:
                chosen.set()
                return name
            else:
                refusals[name] = _last(self.members[name].why(said))
                outside += _OUTSIDE in said.output
                if said.output and not any(words in said.output for words in _HEARD):
                    away[name] = refusals[name]
            begin(waiting)
            waiting = []
        refusals, away = (  # in the hosts' order, whoever was the first to refuse
            {name: said[name] for name in self.members if name in said} for said in (refusals, away)
        )
        if outside == len(self.members):
            raise OpsError(
                msg("the hosts are not in a Swarm yet"),
                msg(
                    "`techsapo hosts check` shows whether the hosts can form a Swarm; `techsapo hosts add` "
                    "joins them to it"
                ),
            )
        if len(away) == len(self.members):
            raise HostsAway(away)
        reasons = reasons_of({**refusals, **self.unreachable})
        raise NoManagerError(msg("no Swarm manager answers ({why})", why=reasons), LOOK, away)

    def _ask_manager(self, name: str, chosen: threading.Event) -> Completed | OpsError:
        """Whether it is one of a quorum, unless another one is `chosen` before it says so.

        A machine that the managers have lost is waited for no longer than one that was silent lately.
        """
        member = self.members[name]
        patience = member.patience
        _ASKED.setdefault(member.way, time.monotonic())

        def watch() -> None:
            if chosen.is_set():
                raise OpsError(msg("another manager has answered"))

        try:
            done = member.watched(watch).attempt("node", "ls", "--format", _MANAGERS, timeout=patience)
        except OpsError as error:
            if isinstance(error, TimedOut) or not chosen.is_set():
                member.note(silent=True, patience=patience)
            return error
        except Exception as error:  # noqa: BLE001 - who waits for the answer has to hear of it
            return OpsError(str(error) or type(error).__name__)
        member.note(silent=False, patience=patience)
        for line in done.stdout.decode(errors="replace").splitlines() if done.code == 0 else ():
            other, _, reach = line.partition(" ")
            if reach == "Unreachable" and other in self.members:
                self.members[other].note(silent=True, patience=REACH_SECONDS)
        return done

    def forget_manager(self) -> None:
        """Look for a manager anew: the one that was asked does not answer as one of a quorum."""
        self._manager = None

    def without(self, machines: Collection[str]) -> Fleet:
        """The same without some of its machines."""
        rest = copy.copy(self)
        rest.members = {name: member for name, member in self.members.items() if name not in machines}
        return rest

    def machine_of(self, container: str) -> str:
        """The machine of a container that was looked at."""
        return self._where[container]

    def each(self, do: Callable[[Member], T]) -> dict[str, T]:
        """What `do` returns for each machine, all at the same time. Raises what the first one raises."""
        with ThreadPoolExecutor(max(len(self.members), 1)) as pool:
            return dict(zip(self.members, pool.map(do, self.members.values()), strict=True))

    def asked(self, question: Callable[[Member], T]) -> dict[str, T]:
        """As each, for what changes nothing: a host that hangs does not hold the end of the process."""
        return each_of({name: partial(question, member) for name, member in self.members.items()})

    def everywhere(
        self, arguments: Sequence[str], timeout: float = REACH_SECONDS
    ) -> dict[str, Completed | OpsError]:
        """Run a docker command on all machines at the same time; how it ended on each."""

        def one(member: Member) -> Completed | OpsError:
            try:
                return member.attempt(*arguments, timeout=timeout)
            except OpsError as error:
                return error

        return self.each(one)

    @override
    def containers(self, project: str | None = None) -> tuple[ContainerFacts, ...]:
        """Those of the stack `project` on every machine that answers; see `unreachable`."""
        assert project is not None, "a fleet is one stack's"  # noqa: S101 - a mistake of ours, no input

        def look(member: Member) -> tuple[ContainerFacts, ...] | OpsError:
            patience = member.patience
            try:
                there = member.stack_containers(project, timeout=patience)
            except OpsError as error:
                member.note(silent=True, patience=patience)
                return error
            member.note(silent=False, patience=patience)
            return there

        looked = self.asked(look)
        self.unreachable = {
            n: why(f, n, self.members[n].way) for n, f in looked.items() if isinstance(f, OpsError)
        }
        if self._manager in self.unreachable:
            self._manager = None
        every: list[ContainerFacts] = []
        for name, containers in looked.items():
            if not isinstance(containers, OpsError):
                self._where.update({container.id: name for container in containers})
                every += containers
        return tuple(every)

    @override
    def inspect(self, ids: Sequence[str]) -> tuple[ContainerFacts, ...]:
        """Facts of containers that were looked at; one that is gone, or whose machine is, is left out."""
        by_machine: dict[str, list[str]] = {}
        for container in ids:
            by_machine.setdefault(self._where[container], []).append(container)
        return tuple(
            facts for name, those in by_machine.items() for facts in self.members[name].inspect(those)
        )

    @override
    def image_ids(self, references: Iterable[str], timeout: float = _TIMEOUT) -> dict[str, str]:
        """Image id by reference, for those that every machine that answers has, and has alike."""
        wanted = list(references)

        answers = self.without(self.unreachable).asked(lambda member: member.image_ids(wanted, timeout))
        reached = list(answers.values())
        return {
            reference: reached[0][reference]
            for reference in wanted
            if reached and all(ids.get(reference) == reached[0].get(reference, "") for ids in reached)
        }

    @override
    def execute(
        self, container: str, command: Command, *, user: str | None = None, timeout: float = _TIMEOUT
    ) -> Completed:
        return self._of(container).execute(container, command, user=user, timeout=timeout)

    @override
    def entering(self, container: str, command: Command, *, user: str | None = None) -> Command:
        return self._of(container).entering(container, command, user=user)

    @override
    def call(self, *arguments: str, timeout: float = _TIMEOUT) -> str:
        return self._meant(arguments).call(*arguments, timeout=timeout)

    @override
    def attempt(self, *arguments: str, timeout: float = _TIMEOUT) -> Completed:
        return self._meant(arguments).attempt(*arguments, timeout=timeout)

    @override
    def streaming(self, *arguments: str) -> Command:
        return self._meant(arguments).streaming(*arguments)

    def _of(self, container: str) -> Docker:
        return self.members[self._where[container]]

    def _meant(self, arguments: Sequence[str]) -> Docker:
        """The machine of a container that is among the arguments, or else a manager."""
        named = next((word for word in arguments if word in self._where), None)
        return self._of(named) if named is not None else self.manager


def _last(said: str) -> str:
    return said.splitlines()[-1] if "\n" in said else said
