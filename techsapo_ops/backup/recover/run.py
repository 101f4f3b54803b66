"""A recovery: its steps, each noted when it is done, so that the same command goes on; and giving it up."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.adapters.folders import opened, remove_empty
from techsapo_ops.apply.administration import recorded
from techsapo_ops.backup.recover.doors import Doors
from techsapo_ops.backup.recover.draft import Choice, chosen, draft_of, readable
from techsapo_ops.backup.recover.journal import HOSTS, Asked, Desk, Recovered, Recovering, RecoveryJournal
from techsapo_ops.backup.recover.keys import later_endings, settle, working_now
from techsapo_ops.backup.recover.placing import MODES, places_in, put, require_free
from techsapo_ops.backup.recover.preview import Preview, missing_variables, preview_of, restorable
from techsapo_ops.backup.recover.service import LOCK_SECONDS, certify, fill, settled, start
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.repository.restic import Restic
from techsapo_ops.backup.restore.copied import Copied, choose, fetch, open_copy, require_whole
from techsapo_ops.backup.restore.going_back import go_back_if_interrupted
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.journal import interrupted
from techsapo_ops.stack.layout import Layout
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
    begun: bool = False
    """Whether `begin` was called before."""
    agreed: bool = False
    """Whether somebody has agreed to just this: placing, which comes after the question, has begun."""
    chose: float = 0.0
    """Seconds that it took to choose the copy: a repository far away answers after some."""
    looked: float = 0.0
    """Seconds that the look took: it reads every byte of the copy, so it is work of the recovery."""

    def begin(self, asked: Asked) -> None:
        """Choose the copy, or go on with the recovery that did not end. Raises OpsError."""
        entry = self.desk.journal.read()
        if entry is None:
            now, began = datetime.now(UTC), time.monotonic()
            snapshot = choose(readable(self.restic, self.doors.listener.warn), asked.moment, asked.project)
            self.chose = time.monotonic() - began
            above = tuple(map(str, self.desk.folders))
            facts = Recovering(asked, snapshot.id, snapshot.backup, folders=above)
            self.desk.journal.begin(facts, began=now)
            self.begun = True
            return
        facts = entry.facts
        self._require_same(facts, asked, placed="place" in entry.done)
        if not self.begun:
            self.say(msg("continuing the recovery of {backup}", backup=facts.backup or facts.snapshot[:8]))
        self.begun = True
        self.agreed = bool(facts.made) and facts.asked == asked
        if "place" not in entry.done:
            # What is on disk beside `made` was agreed to; what is asked now gets there with the next note.
            self.desk.journal.entry = replace(entry, facts=replace(facts, asked=asked))

    def _require_same(self, facts: Recovering, now: Asked, *, placed: bool) -> None:
        before = facts.asked
        for what, same, then, wanted in (
            ("--from", before.repository == now.repository, before.place, now.place),
            ("--at", before.at == now.at, before.at, now.at),
            ("--project", before.project == now.project, before.project, now.project),
        ):
            if not same:
                raise OpsError(
                    msg(
                        "the recovery into {into} was started with another {what}: first {then}, now "
                        "{wanted}",
                        into=self.into,
                        what=what,
                        then=then or msg("not given"),
                        wanted=wanted or msg("not given"),
                    ),
                    msg(
                        "continue with the same command as before, or run `techsapo recover --abandon`, "
                        "which removes what the recovery has made so far"
                    ),
                )
        if placed and before != now:
            raise OpsError(
                msg(
                    "a recovery is under way, and its spec is already in place: --set, --engine, -e, "
                    "--without and --revoke-all-keys can no longer change"
                ),
                msg(
                    "continue with the same command and change the spec afterwards, or run "
                    "`techsapo recover --abandon`"
                ),
            )

    def fetch(self) -> None:
        """Bring the copy here, into the private folder. Raises OpsError."""
        entry = self._journal.under_way
        if entry.elsewhere and "fetch" in entry.done and not self.desk.fetched.exists():
            raise OpsError(
                msg("this recovery was started on another host, which has the fetched copy"),
                msg(
                    "continue on that host; if it is lost, run `techsapo recover --abandon` on this host, "
                    "then start again"
                ),
            )
        self._journal.step("fetch", self._fetch, before=self.chose)

    def _fetch(self) -> None:
        facts = self._facts
        self.say(msg("fetching {backup}", backup=facts.backup or facts.snapshot[:8]))
        private_folder(self.desk.fetched, self.desk.state)
        fetch(self.restic, facts.snapshot, self.desk.fetched)

    def preview(self) -> Preview | None:
        """What is going to be done here; None once the files are placed. Raises OpsError."""
        if "place" in self._journal.under_way.done:
            return None
        facts = self._facts
        began = time.monotonic()
        choice = self._choice()
        copied = self._copied(choice)
        require_whole(copied)
        places = places_in(copied, self.into, frozenset(facts.made))
        draft = draft_of(copied, places, facts.asked, self.into)
        if os.path.lexists(draft.file) and str(draft.file) not in facts.made:
            raise OpsError(
                msg("{into} already has a stack: {file} exists", into=self.into, file=draft.file),
                msg("choose another folder with --into; nothing was touched"),
            )
        require_free(places, frozenset(facts.made))
        if lacking := missing_variables(copied):
            self.doors.listener.warn(
                msg(
                    "environment variables that the old host had and this host lacks: {lacking}",
                    lacking=", ".join(lacking),
                )
            )
        prospect = self.doors.prospect(draft, facts.asked.engine)
        choice = replace(choice, later=later_endings(self.restic, choice.newest, self.doors.listener.warn))
        preview = preview_of(choice, copied, places, draft, prospect, facts.asked)
        self.looked = time.monotonic() - began
        return preview

    def run(self, preview: Preview | None) -> Recovered:
        """Do all that is left; `preview` is of `preview()`. Raises OpsError; a second call goes on."""
        journal = self._journal
        if preview is not None:
            journal.step("place", lambda: self._place(preview), before=self.looked)
        facts = self._facts
        layout = Layout(self.desk.state, self.desk.state / "generated", Path(facts.spec))
        what = {
            "from": facts.asked.place, "snapshot": facts.snapshot, "backup": facts.backup,
            "done before": sorted(journal.under_way.done),
        }  # fmt: skip
        with recorded(layout, "recover", what, self.doors.listener.warn) as known:
            if HOSTS in facts.steps:
                gather = partial(self.doors.gather, Path(facts.spec), facts.environment, facts.engine)
                journal.step(HOSTS, gather)
            stack = self._open()
            journal.step("up", lambda: start(stack, self.doors.listener, self.say))
            journal.step("restore", lambda: self._restore(stack))
            journal.step("certificates", lambda: journal.remains(certify(stack, self.say)))
            journal.step("schedule", lambda: journal.remains(self._schedule(stack)))
            status: list[str] = []
            journal.step("health", lambda: status.append(settled(stack)))
            if not status:  # it was killed after that: what is so now counts
                status.append(settled(stack))
            entry, remaining = journal.under_way, self._facts.remaining
            if status[-1] != "healthy":
                remaining += ((msg("health says {status}", status=status[-1]), "techsapo health"),)
            known["seconds"] = round(sum(entry.done.values()), 1)
        self._conclude(stack.layout)
        return Recovered(
            facts.spec, facts.backup, facts.snapshot[:12], entry.done, status[-1], remaining,
            facts.data_of, working_now(stack.layout, stack.spec), _since(entry.began),
        )  # fmt: skip

    def _place(self, preview: Preview) -> None:
        for path in (self.into, self.desk.state):
            with opened(path, make=0o755):
                pass
        copied, draft, journal = preview.copied, preview.draft, self._journal
        note_format(Layout(self.desk.state, self.desk.state))
        left = []
        for each in preview.places.placements:
            if not each.there:
                left += put(each, self.desk.prepared, self.into, journal.making)
        for name in left:
            self.doors.listener.warn(msg("{name} was left out: it is a link to another place", name=name))
        journal.making(draft.file)
        (spec,) = copied.description.of(What.SPEC)
        write_atomic(draft.file, draft.text.encode(), spec.mode & MODES)
        journal.note(
            backup=copied.backup.id, spec=str(draft.file), environment=draft.environment,
            engine=preview.prospect.stack.topology.engine,
            several=preview.prospect.stack.topology.places.state_travels,
            data_of=copied.backup.read().started.isoformat(),
        )  # fmt: skip
        layout = Layout(self.desk.state, self.desk.state / "generated", draft.file)
        applied, warn = preview.prospect.stack.spec, self.doors.listener.warn
        settle(layout, applied, preview.endings, warn, revoke_all=preview.revoke_all_keys)

    def _conclude(self, layout: Layout) -> None:
        """Forget the recovery; on several hosts so that all of them hear of it, and have its record."""
        if HOSTS not in self._facts.steps:
            self.desk.clear()
            return
        try:
            with at_work(layout, LOCK_SECONDS):
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
        fill(stack, copied, restorable(copied, stack, self._facts.asked), self.say)

    def _schedule(self, stack: Stack) -> list[tuple[str, str]]:
        if stack.spec.schedule.by != "cron":
            return []
        self._journal.note(scheduled=True)
        try:
            self.doors.install_schedule(Path(self._facts.spec), self._facts.environment)
        except OpsError as error:
            hint = error.hint or "techsapo cron install"
            return [(msg("the jobs are not scheduled: {message}", message=error.message), hint)]
        self.say(msg("the jobs are scheduled in the crontab"))
        return []

    @property
    def placing(self) -> bool:
        """Whether something is placed already."""
        return bool(self._facts.made)

    @property
    def _journal(self) -> RecoveryJournal:
        return self.desk.journal

    @property
    def _facts(self) -> Recovering:
        """As the journal has them now."""
        return self._journal.under_way.facts

    def _open(self) -> Stack:
        return self.doors.open(Path(self._facts.spec), self._facts.environment, self._facts.engine)

    def _choice(self) -> Choice:
        return chosen(self.restic.snapshots(), self._facts.snapshot, self._facts.asked.moment)

    def _copied(self, choice: Choice) -> Copied:
        made = map(Path, self._facts.made)
        moved = next((path for path in made if path.name == choice.snapshot.backup), None)
        return open_copy(self.desk.fetched, choice.snapshot, moved)


def _since(began: datetime) -> float:
    """Seconds since that moment by the clock of this host; 0 where it was set back."""
    return round(max((datetime.now(UTC) - began).total_seconds(), 0.0), 3)


def abandon(
    desk: Desk, doors: Doors, stop: Callable[[Path], object], *, wait: float = 0.0
) -> tuple[str, ...]:
    """Remove what a recovery that did not end has made, and nothing else; returns what that was. Of folders
    that it made for something else, those go that are empty then.

    Each step that was begun is undone, the last one first. `stop` ends what runs of the stack of a spec, and
    removes its data. Raises OpsError where there is none, and where it is at work for longer than `wait`
    seconds.
    """
    if desk.journal.read() is None:
        raise OpsError(
            msg("no recovery is under way in {parent}", parent=desk.state.parent),
            msg("check the folder given with --into"),
        )
    with desk.lock(wait):
        entry = desk.journal.read()
        if entry is None:  # it has ended meanwhile: what it made is a stack now
            raise OpsError(
                msg("the recovery into {parent} has just ended", parent=desk.state.parent),
                msg("`techsapo down` stops the stack"),
            )
        facts, gone = entry.facts, list[str]()
        opposites: dict[str, Callable[[], object]] = {
            "place": lambda: gone.extend(_remove(facts.made, desk.state)),
            "up": lambda: stop(Path(facts.spec)),
        }
        if facts.scheduled:
            opposites["schedule"] = lambda: doors.remove_schedule(Path(facts.spec), facts.environment)
        for step in reversed(facts.steps):
            if entry.begun(step) and step in opposites:
                opposites[step]()
        desk.remove()
        empty = remove_empty([Path(folder) for folder in facts.folders])
    return (*gone, str(desk.state), *map(str, empty))


def _remove(made: Sequence[str], state: Path) -> Iterator[str]:
    """Remove what was put outside the state directory, the last first; yields what was there."""
    for path in map(Path, reversed(made)):
        if os.path.lexists(path) and not path.is_relative_to(state):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            yield str(path)
