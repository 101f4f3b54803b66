"""The steps of a recovery: each noted when it is done, so that the same command goes on after kill -9."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.disk import human, room
from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.backup import registry
from techsapo_ops.backup.description import What
from techsapo_ops.backup.offsite import AwaySnapshot, Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.health.check import check
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.apply.up import up
from techsapo_ops.operations.backup.intent import intend
from techsapo_ops.operations.backup.restore import go_back_if_interrupted, perform
from techsapo_ops.operations.certificates.needs import certificates_of
from techsapo_ops.operations.certificates.renew import renew
from techsapo_ops.operations.recover.choice import Choice, choose
from techsapo_ops.operations.recover.copied import Copied, read_copy
from techsapo_ops.operations.recover.doors import Doors
from techsapo_ops.operations.recover.draft import draft_of
from techsapo_ops.operations.recover.journal import Asked, Desk, Journal
from techsapo_ops.operations.recover.look import Look, look_at, missing_variables, restorable
from techsapo_ops.operations.recover.placing import MODES, Places, places_in, put, require_free
from techsapo_ops.operations.recover.recovered import Recovered
from techsapo_ops.services.app.api_keys import keys_owner
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Stack

_SLACK = 64 * 1024 * 1024
"""Bytes that a fetch leaves free."""
_HEALTH_SECONDS = 90
_PROBE_SECONDS = 5.0
_LOCK_SECONDS = 60.0


@dataclass(slots=True)
class Recovery:
    """One recovery into the folder `into`, an absolute path without links; its lock is held."""

    restic: Restic
    into: Path
    desk: Desk
    doors: Doors
    say: Callable[[str], None]
    journal: Journal | None = None
    looked: float = 0.0
    """Seconds that the look took: it reads every byte of the copy, so it is work of the recovery."""

    def begin(self, asked: Asked) -> Journal:
        """Choose the copy, or go on with the recovery that did not end. Raises OpsError."""
        found = self.desk.read()
        if found is not None:
            self._require_same(found.asked, asked)
            if not found.has("place"):
                found = self.desk.write(replace(found, asked=asked))
            if self.journal is None:  # not begun by this very one
                self.say(f"going on with the recovery of {found.backup or found.snapshot[:8]}")
            self.journal = found
            return found
        at = datetime.fromisoformat(asked.at) if asked.at else None
        now = datetime.now(UTC).isoformat()
        lost: list[str] = []
        known = self.restic.snapshots(damaged=lost.extend)
        if lost and not known:
            raise OpsError(
                f"the repository is half there: no copy in it can be read ({', '.join(lost[:4])})",
                "restic's manual tells how to repair it; another place may have a whole one",
            )
        if lost:
            self.doors.listener.warn(
                f"{len(lost)} of the repository's copies can't be read ({', '.join(lost[:4])}): "
                "the newest may be among them"
            )
        chosen = choose(known, at, asked.project)
        found = Journal(asked, chosen.snapshot.id, chosen.snapshot.backup, began=now)
        self.journal = self.desk.write(found)
        return found

    def _require_same(self, before: Asked, now: Asked) -> None:
        for what, same, then, wanted in (
            ("--from", before.repository == now.repository, before.place, now.place),
            ("--at", before.at == now.at, before.at, now.at),
            ("--project", before.project == now.project, before.project, now.project),
        ):
            if not same:
                raise OpsError(
                    f"a recovery into {self.into} is under way with {what} {then or 'left out'}, not "
                    f"{wanted or 'left out'}",
                    "go on with the same command, or remove what it made: `techsapo recover --abandon`",
                )
        placed = (self.desk.read() or Journal(before, "", "")).has("place")
        if placed and asdict(before) != asdict(now):
            raise OpsError(
                "a recovery is under way, and its spec is placed already: --set, --engine, -e and --without "
                "can't be others now",
                "go on with the same command and change the spec then, or `techsapo recover --abandon`",
            )

    def fetch(self) -> None:
        """Bring the copy here, into the private folder. Raises OpsError."""
        journal = self._journal()
        if journal.has("fetch"):
            return
        began = time.monotonic()
        try:
            size = self.restic.size(journal.snapshot)
        except OpsError as error:
            raise self._half(error) from None
        free = room(self.desk.folder).free_bytes
        if size + _SLACK > free:
            raise OpsError(
                f"the copy takes {human(size)}, and {self.into} has {human(free)} free",
                "make room, or recover --into a folder on another disk; nothing was fetched",
            )
        self.say(f"fetching {journal.backup or journal.snapshot[:8]}, {human(size)}")
        private_folder(self.desk.fetched, self.desk.state)
        try:
            self.restic.restore(journal.snapshot, self.desk.fetched)
        except OpsError as error:
            raise self._half(error) from None
        self._done("fetch", began)

    def _half(self, error: OpsError) -> OpsError:
        """What is said of a copy that did not come whole: what the repository lacks, if anything."""
        if "no space left" in error.message.lower():
            return OpsError(
                f"the disk of {self.into} is full: the copy did not come whole",
                "make room, then the same again; or --abandon, and recover --into a folder on another disk",
            )
        try:
            self.restic.check()
        except OpsError as found:
            said = found.message.splitlines()
            lacks = [line for line in said if "does not exist" in line or "no such file" in line]
            if lacks or "damaged" in found.message:
                what = (lacks or said)[0].removeprefix("restic check failed with code 1: ").strip()
                return OpsError(
                    f"the repository is half there, so the copy did not come whole: {what[:300]}",
                    "another --at may be whole (--abandon first); restic's manual tells how to repair it",
                )
        return OpsError(f"the copy did not come whole: {error.message}", f"{error.hint}; then the same again")

    def look(self) -> Look | None:
        """What is going to be done here; None once the files are placed. Raises OpsError."""
        journal = self._journal()
        if journal.has("place"):
            return None
        began = time.monotonic()
        choice = self._choice(journal)
        copied = self._copied(choice.snapshot)
        places = self._places(copied)
        draft = draft_of(copied, places, journal.asked, self.into)
        if os.path.lexists(draft.file) and str(draft.file) not in journal.made:
            raise OpsError(
                f"{self.into} has a stack already: {draft.file} is there",
                "recover --into another folder; nothing was touched",
            )
        require_free(places, frozenset(journal.made))
        if lacking := missing_variables(copied):
            self.doors.listener.warn(
                f"set in the old host's environment alone, and not here: {', '.join(lacking)}"
            )
        prospect = self.doors.prospect(draft, journal.asked.engine)
        found = look_at(choice, copied, places, draft, prospect, journal.asked)
        self.looked = time.monotonic() - began
        return found

    def run(self, look: Look | None) -> Recovered:
        """All that is left to do; `look` as `look()` returned it. Raises OpsError; the same again goes on."""
        if look is not None:
            self._place(look)
        journal = self._journal()
        file = Path(journal.spec)
        layout = Layout(self.desk.state, self.desk.state / "generated", file)
        what = {
            "from": journal.asked.place, "snapshot": journal.snapshot, "backup": journal.backup,
            "done before": sorted(journal.done),
        }  # fmt: skip
        with recorded(layout, "recover", what, self.doors.listener.warn) as known:
            stack = self._open()
            self._step("up", lambda: self._up(stack))
            self._step("restore", lambda: self._restore(stack))
            self._step("certificates", lambda: self._remains(self._certificates(stack)))
            self._step("schedule", lambda: self._remains(self._schedule(stack, file)))
            status: list[str] = []
            self._step("health", lambda: status.append(self._health(stack)))
            if not status:  # it was killed after that: what is so now counts
                status.append(self._health(stack))
            journal = self._journal()
            remaining = journal.remaining
            if status[-1] != "healthy":
                remaining += ((f"health says {status[-1]}", "techsapo health"),)
            known["seconds"] = round(sum(journal.done.values()), 1)
        self.desk.clear()
        return Recovered(
            journal.spec, journal.backup, journal.snapshot[:12], journal.done, status[-1], remaining,
            _since(journal.began),
        )  # fmt: skip

    # What each step does

    def _place(self, look: Look) -> None:
        began = time.monotonic() - self.looked
        for path in (self.into, self.desk.state):
            with opened(path, make=0o755):
                pass
        copied = look.copied
        state = Layout(self.desk.state, self.desk.state)
        if copied.described:
            write_atomic(state.edition_note, f"{copied.description.edition}\n".encode())
        left = []
        for each in look.places.placements:
            if not each.there:
                left += put(each, self.desk.prepared, self.into, self._making)
        for name in left:
            self.doors.listener.warn(f"{name} is a link that leads elsewhere; it was left out")
        self._making(look.draft.file)
        (spec,) = copied.description.of(What.SPEC)
        write_atomic(look.draft.file, look.draft.text.encode(), spec.mode & MODES)
        self.journal = self.desk.write(
            replace(
                self._journal(), backup=copied.backup.id, spec=str(look.draft.file),
                environment=look.draft.environment, engine=look.prospect.stack.topology.engine,
            )
        )  # fmt: skip
        if not copied.described:
            self._unpack_configuration(look)
        self._done("place", began)

    def _unpack_configuration(self, look: Look) -> None:
        """What a copy of before 0.2 has in the archive of the configuration alone."""
        stack = self._open()
        manifest = look.copied.backup.read()
        names = [
            part.source
            for part in manifest.parts
            if (kind := registry.find(part.source)) is not None and kind.is_configuration
        ]
        if names:
            intent = intend(stack, manifest.id, names, unauthenticated=True)
            perform(stack, intent, aside=False, say=self.say)
            write_atomic(look.draft.file, look.draft.text.encode(), 0o600)

    def _up(self, stack: Stack) -> None:
        owner = keys_owner(stack.topology)
        keys = stack.layout.api_keys
        if owner is not None and keys.exists():
            os.chown(keys, *owner, follow_symlinks=False)
        self.say("starting the stack")
        report = up(stack, self.doors.listener, wait=_LOCK_SECONDS)
        if report is not None and report.failures:
            failed = [outcome for outcome in report.failures if outcome.error is not None]
            said = "; ".join(f"{o.step.service}: {o.error.message}" for o in failed if o.error is not None)
            raise OpsError(
                f"not every service started: {said}", "`techsapo logs` tells more; then the same again"
            )

    def _restore(self, stack: Stack) -> None:
        go_back_if_interrupted(stack, wait=_LOCK_SECONDS, say=self.say)
        copied = self._copied(self._snapshot())
        names = restorable(copied, stack, self._journal().asked)
        if not names:
            self.say("there is no data to restore")
            return
        intent = intend(stack, copied.backup.id, names, unauthenticated=True, copies=copied.copies)
        perform(stack, intent, wait=_LOCK_SECONDS, aside=False, say=self.say)

    def _certificates(self, stack: Stack) -> list[tuple[str, str]]:
        certificates = certificates_of(stack, self.say)
        if not list(certificates.kept()):
            return []
        found = renew(certificates, wait=_LOCK_SECONDS)
        return [
            (each.error.message, each.error.hint or f"techsapo certs renew {each.name}")
            for each in found
            if each.error is not None
        ]

    def _schedule(self, stack: Stack, file: Path) -> list[tuple[str, str]]:
        by = stack.spec.schedule.by
        if by not in {"cron", "systemd"}:
            return []
        self.journal = self.desk.write(replace(self._journal(), schedule=by))
        try:
            where = self.doors.install_schedule(file, self._journal().environment, by)
        except OpsError as error:
            option = " --systemd" if by == "systemd" else ""
            return [(f"the schedule: {error.message}", error.hint or f"techsapo cron install{option}")]
        self.say(f"the schedule is in {where}")
        return []

    def _health(self, stack: Stack) -> str:
        deadline = time.monotonic() + _HEALTH_SECONDS
        while True:
            report = check(stack, timeout=_PROBE_SECONDS, now=datetime.now(UTC))
            if report.status.value == "healthy" or time.monotonic() > deadline:
                return report.status.value
            stack.pause(1.0)

    # Small things

    def _journal(self) -> Journal:
        if self.journal is None:
            raise AssertionError("begin was not called")
        return self.journal

    def _remains(self, found: list[tuple[str, str]]) -> None:
        """Note what did not work: it is told at the end, also by the command that goes on after a kill."""
        if found:
            known = (*self._journal().remaining, *found)
            self.journal = self.desk.write(replace(self._journal(), remaining=tuple(dict.fromkeys(known))))

    def _making(self, path: Path) -> None:
        self.journal = self.desk.making(self._journal(), path)

    def _done(self, step: str, began: float) -> None:
        self.journal = self.desk.done(self._journal(), step, time.monotonic() - began)

    def _step(self, step: str, work: Callable[[], object]) -> None:
        if not self._journal().has(step):
            began = time.monotonic()
            work()
            self._done(step, began)

    def _open(self) -> Stack:
        journal = self._journal()
        return self.doors.open(Path(journal.spec), journal.environment, journal.engine)

    def _snapshot(self) -> AwaySnapshot:
        return self._choice(self._journal()).snapshot

    def _choice(self, journal: Journal) -> Choice:
        known = self.restic.snapshots()
        snapshot = next((each for each in known if each.id == journal.snapshot), None)
        if snapshot is None:
            raise OpsError(
                f"the copy {journal.snapshot[:8]} is no longer in the repository",
                "`techsapo recover --abandon`, then begin anew",
            )
        at = datetime.fromisoformat(journal.asked.at) if journal.asked.at else None
        return Choice(
            snapshot,
            tuple(
                e for e in known
                if e.time > snapshot.time and not e.whole and e.project == snapshot.project
                and (at is None or e.time <= at)
            ),
        )  # fmt: skip

    def _copied(self, snapshot: AwaySnapshot) -> Copied:
        moved = [Path(path) for path in self._journal().made if Path(path).name == snapshot.backup]
        return read_copy(self.desk.fetched, snapshot, moved[0] if moved else None)

    def _places(self, copied: Copied) -> Places:
        return places_in(copied, self.into, frozenset(self._journal().made))


def _since(began: str) -> float:
    """Seconds since that moment by the clock of this host; 0 where it was set back."""
    if not began:
        return 0.0
    return round(max((datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds(), 0.0), 3)
