"""A recovery: its steps, each noted when it is done, so that the same command goes on after kill -9."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.backup.description import What
from techsapo_ops.backup.offsite import Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.backup.going_back import go_back_if_interrupted
from techsapo_ops.operations.recover.choice import Choice, choose, chosen, readable
from techsapo_ops.operations.recover.copied import Copied, read_copy
from techsapo_ops.operations.recover.doors import Doors
from techsapo_ops.operations.recover.draft import draft_of
from techsapo_ops.operations.recover.fetching import fetch
from techsapo_ops.operations.recover.journal import HOSTS, Asked, Desk, Journal
from techsapo_ops.operations.recover.keys import later_endings, settle, working_now
from techsapo_ops.operations.recover.look import Look, look_at, missing_variables, restorable
from techsapo_ops.operations.recover.placing import MODES, places_in, put, require_free
from techsapo_ops.operations.recover.progress import Progress
from techsapo_ops.operations.recover.recovered import Recovered
from techsapo_ops.operations.recover.service import LOCK_SECONDS, certify, fill, settled, start
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.restore_journal import interrupted
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.state_format import note_format


@dataclass(slots=True)
class Recovery:
    """One recovery into the folder `into`, an absolute path without links; its lock is held."""

    restic: Restic
    into: Path
    desk: Desk
    doors: Doors
    say: Callable[[str], None]
    progress: Progress | None = None
    agreed: bool = False
    """Whether somebody has agreed to just this: placing, which comes after the question, has begun."""
    chose: float = 0.0
    """Seconds that it took to choose the copy: a repository far away answers after some."""
    looked: float = 0.0
    """Seconds that the look took: it reads every byte of the copy, so it is work of the recovery."""

    def begin(self, asked: Asked) -> None:
        """Choose the copy, or go on with the recovery that did not end. Raises OpsError."""
        found = self.desk.read()
        if found is None:
            now, began = datetime.now(UTC).isoformat(), time.monotonic()
            snapshot = choose(readable(self.restic, self.doors.listener.warn), asked.moment, asked.project)
            self.chose = time.monotonic() - began
            above = tuple(map(str, self.desk.folders))
            found = Journal(asked, snapshot.id, snapshot.backup, folders=above, began=now)
            found = self.desk.write(found)
            self.progress = Progress(self.desk, found)
            return
        self._require_same(found, asked)
        if self.progress is None:  # not begun by this very one
            self.say(msg("going on with the recovery of {backup}", backup=found.backup or found.snapshot[:8]))
        self.agreed = bool(found.made) and found.asked == asked
        # What is on disk beside `made` was agreed to; what is asked now gets there with the next note.
        self.progress = Progress(self.desk, found if found.has("place") else replace(found, asked=asked))

    def _require_same(self, journal: Journal, now: Asked) -> None:
        before = journal.asked
        for what, same, then, wanted in (
            ("--from", before.repository == now.repository, before.place, now.place),
            ("--at", before.at == now.at, before.at, now.at),
            ("--project", before.project == now.project, before.project, now.project),
        ):
            if not same:
                raise OpsError(
                    msg(
                        "a recovery into {into} is under way with {what} {then}, not {wanted}",
                        into=self.into,
                        what=what,
                        then=then or msg("left out"),
                        wanted=wanted or msg("left out"),
                    ),
                    msg("go on with the same command, or remove what it made: `techsapo recover --abandon`"),
                )
        if journal.has("place") and before != now:
            raise OpsError(
                msg(
                    "a recovery is under way, and its spec is placed already: --set, --engine, -e, "
                    "--without and --revoke-all-keys can't be others now"
                ),
                msg("go on with the same command and change the spec then, or `techsapo recover --abandon`"),
            )

    def fetch(self) -> None:
        """Bring the copy here, into the private folder. Raises OpsError."""
        journal = self._under_way.journal
        if HOSTS in journal.steps and journal.has("fetch") and not self.desk.fetched.exists():
            raise OpsError(
                msg("this recovery was begun on another host, which has what it fetched"),
                msg("go on there; where it is lost: `techsapo recover --abandon` here, then begin anew"),
            )
        self._under_way.step(
            "fetch", lambda: fetch(self.restic, journal, self.desk, self.say), before=self.chose
        )

    def look(self) -> Look | None:
        """What is going to be done here; None once the files are placed. Raises OpsError."""
        journal = self._under_way.journal
        if journal.has("place"):
            return None
        began = time.monotonic()
        choice = self._choice()
        copied = self._copied(choice)
        places = places_in(copied, self.into, frozenset(journal.made))
        draft = draft_of(copied, places, journal.asked, self.into)
        if os.path.lexists(draft.file) and str(draft.file) not in journal.made:
            raise OpsError(
                msg("{into} has a stack already: {file} is there", into=self.into, file=draft.file),
                msg("recover --into another folder; nothing was touched"),
            )
        require_free(places, frozenset(journal.made))
        if lacking := missing_variables(copied):
            self.doors.listener.warn(
                msg(
                    "set in the old host's environment alone, and not here: {lacking}",
                    lacking=", ".join(lacking),
                )
            )
        prospect = self.doors.prospect(draft, journal.asked.engine)
        choice = replace(choice, later=later_endings(self.restic, choice.newest, self.doors.listener.warn))
        found = look_at(choice, copied, places, draft, prospect, journal.asked)
        self.looked = time.monotonic() - began
        return found

    def run(self, look: Look | None) -> Recovered:
        """All that is left to do; `look` as `look()` returned it. Raises OpsError; the same again goes on."""
        progress = self._under_way
        if look is not None:
            progress.step("place", lambda: self._place(look), before=self.looked)
        journal = progress.journal
        layout = Layout(self.desk.state, self.desk.state / "generated", Path(journal.spec))
        what = {
            "from": journal.asked.place, "snapshot": journal.snapshot, "backup": journal.backup,
            "done before": sorted(journal.done),
        }  # fmt: skip
        with recorded(layout, "recover", what, self.doors.listener.warn) as known:
            if HOSTS in journal.steps:
                progress.step(HOSTS, lambda: self._gather(journal))
            stack = self._open()
            progress.step("up", lambda: start(stack, self.doors.listener, self.say))
            progress.step("restore", lambda: self._restore(stack))
            progress.step("certificates", lambda: progress.remains(certify(stack, self.say)))
            progress.step("schedule", lambda: progress.remains(self._schedule(stack)))
            status: list[str] = []
            progress.step("health", lambda: status.append(settled(stack)))
            if not status:  # it was killed after that: what is so now counts
                status.append(settled(stack))
            journal = progress.journal
            remaining = journal.remaining
            if status[-1] != "healthy":
                remaining += ((msg("health says {status}", status=status[-1]), "techsapo health"),)
            known["seconds"] = round(sum(journal.done.values()), 1)
        self._conclude(stack)
        return Recovered(
            journal.spec, journal.backup, journal.snapshot[:12], journal.done, status[-1], remaining,
            journal.data_of, working_now(stack), _since(journal.began),
        )  # fmt: skip

    def _place(self, look: Look) -> None:
        for path in (self.into, self.desk.state):
            with opened(path, make=0o755):
                pass
        copied, draft, progress = look.copied, look.draft, self._under_way
        note_format(Layout(self.desk.state, self.desk.state))
        left = []
        for each in look.places.placements:
            if not each.there:
                left += put(each, self.desk.prepared, self.into, progress.making)
        for name in left:
            self.doors.listener.warn(msg("{name} is a link that leads elsewhere; it was left out", name=name))
        progress.making(draft.file)
        (spec,) = copied.description.of(What.SPEC)
        write_atomic(draft.file, draft.text.encode(), spec.mode & MODES)
        progress.note(
            backup=copied.backup.id, spec=str(draft.file), environment=draft.environment,
            engine=look.prospect.stack.topology.engine,
            several=look.prospect.stack.topology.places.state_travels,
            data_of=copied.backup.read().started.isoformat(),
        )  # fmt: skip
        layout = Layout(self.desk.state, self.desk.state / "generated", draft.file)
        applied, warn = look.prospect.stack.spec, self.doors.listener.warn
        settle(layout, applied, look.endings, warn, revoke_all=look.revoke_all_keys)

    def _gather(self, journal: Journal) -> None:
        self.doors.gather(Path(journal.spec), journal.environment, journal.engine)

    def _conclude(self, stack: Stack) -> None:
        """Forget the recovery; on several hosts so that all of them hear of it, and have its record."""
        if HOSTS not in self._under_way.journal.steps:
            self.desk.clear()
            return
        try:
            with locked(stack.layout, LOCK_SECONDS):
                self.desk.clear()
        except OpsError as error:  # the stack is back, and the next command shares it
            self.doors.listener.warn(error.message)
            self.desk.clear()

    def _restore(self, stack: Stack) -> None:
        if interrupted(stack.layout) is not None:
            go_back_if_interrupted(stack, wait=LOCK_SECONDS, say=self.say)
            # There was nothing to go back to, so what was stopped to be given data is stopped still.
            start(stack, self.doors.listener, self.say)
        copied = self._copied(self._choice())
        fill(stack, copied, restorable(copied, stack, self._under_way.journal.asked), self.say)

    def _schedule(self, stack: Stack) -> list[tuple[str, str]]:
        if stack.spec.schedule.by != "cron":
            return []
        self._under_way.note(schedule="cron")
        journal = self._under_way.journal
        try:
            where = self.doors.install_schedule(Path(journal.spec), journal.environment)
        except OpsError as error:
            hint = error.hint or "techsapo cron install"
            return [(msg("the schedule: {message}", message=error.message), hint)]
        self.say(msg("the schedule is in {where}", where=where))
        return []

    @property
    def placing(self) -> bool:
        """Whether something is placed already."""
        return bool(self._under_way.journal.made)

    @property
    def _under_way(self) -> Progress:
        if self.progress is None:
            raise AssertionError("begin was not called")
        return self.progress

    def _open(self) -> Stack:
        journal = self._under_way.journal
        return self.doors.open(Path(journal.spec), journal.environment, journal.engine)

    def _choice(self) -> Choice:
        journal = self._under_way.journal
        return chosen(self.restic.snapshots(), journal.snapshot, journal.asked.moment)

    def _copied(self, choice: Choice) -> Copied:
        made = map(Path, self._under_way.journal.made)
        moved = next((path for path in made if path.name == choice.snapshot.backup), None)
        return read_copy(self.desk.fetched, choice.snapshot, moved)


def _since(began: str) -> float:
    """Seconds since that moment by the clock of this host; 0 where it was set back."""
    if not began:
        return 0.0
    return round(max((datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds(), 0.0), 3)
