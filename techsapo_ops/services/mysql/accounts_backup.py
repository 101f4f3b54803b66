"""The accounts that an operator made in MariaDB, and what they log in by: brought back where they lack."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.files import remove_file, write_atomic
from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql import own_accounts, role
from techsapo_ops.services.mysql.own_accounts import Account
from techsapo_ops.services.mysql.session import administrator, scratch_door, session, version
from techsapo_ops.stack.backup import Door, Part, Progress, Source
from techsapo_ops.stack.backup_kind import BackupKind, Trial
from techsapo_ops.stack.shapes import each, has, listed, sha256, text

if TYPE_CHECKING:
    from techsapo_ops.spec.models.data import Mysql
    from techsapo_ops.stack.stack import Stack

_LONGEST = 256 * 1024 * 1024
"""Bytes of statements: some hundred thousand accounts."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """One of both files: of rights, or of passwords."""

    kind: str
    door: Door
    mysql: Mysql

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Ask for the accounts, and write those that are there at that moment."""
        began = time.monotonic()
        path = folder / f"{self.kind}-{stamp}.sql.zst"
        with session(self.door) as asking:
            made_by = version(asking)
            rights = own_accounts.collect(asking, self.mysql)
        plain = self.kind == AccountsBackup.name
        content = own_accounts.statements(rights) if plain else own_accounts.login_statements(rights)
        told: Mapping[str, Any] = (
            {"accounts": own_accounts.facts(rights)} if plain else {"logins": own_accounts.logins(rights)}
        )
        with PackedWriter(path, progress) as file:
            file.write(content.encode())
        seconds = round(time.monotonic() - began, 3)
        return Part(self.kind, path.name, file.bytes, file.raw_bytes, file.sha256, seconds, made_by, told)


class _OfAccounts(BackupKind):
    """What both files have in common. What came back stands in a file until the restore has ended well."""

    by_name_only = True
    keeps_replaced = True
    throwaway = "mysql"

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        if stack.spec.mysql is None or not stack.topology.has("mysql"):
            return msg("this stack has no MariaDB")
        door = administrator(stack)
        try:
            with session(door, timeout=60) as asking:
                found = own_accounts.collect(asking, stack.spec.mysql)
        except OpsError as error:
            return f"MariaDB can't be asked: {error.message.splitlines()[0]}"
        if not found:
            return "MariaDB has no account but the tool's own"
        return [_Taken(self.name, door, stack.spec.mysql)]

    @override
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        try:
            found = _read(reader)
        except OpsError as error:
            return [error.message]
        wanted = self.wanted(part)
        return [
            *(f"account {each} is missing" for each in sorted(wanted - found)),
            *(f"account {each} was not there" for each in sorted(found - wanted)),
        ]

    def wanted(self, part: Part) -> set[str]:
        """The accounts that its facts name."""
        raise NotImplementedError

    @override
    def service(self, kind: str) -> str:
        return "mysql"

    @override
    def missing(self, stack: Stack) -> Sequence[str]:
        return tuple(role.missing(stack))

    @override
    def forget(self, stack: Stack, kind: str) -> None:
        remove_file(self._note(stack))  # else a later restore would take back what this one has brought

    def _note(self, stack: Stack) -> Path:
        return stack.layout.state / f"mysql-{self.name}-restored.json"

    def came_back(self, stack: Stack) -> list[Account]:
        """Those that the restore under way has brought."""
        with suppress(OSError, ValueError):
            found = json.loads(self._note(stack).read_text(encoding="utf-8"))
            return [(user, host) for user, host in found]
        return []

    def bring(self, stack: Stack, found: Mapping[Account, Sequence[str]], chosen: Sequence[Account]) -> None:
        """Run the statements of `chosen`; which they are is on disk before the first."""
        write_atomic(self._note(stack), json.dumps(chosen).encode(), 0o600)
        own_accounts.run(administrator(stack), [line for account in chosen for line in found[account]])


class AccountsBackup(_OfAccounts):
    """The accounts and what they may, without passwords."""

    name = "accounts"
    title = "the database's accounts"

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return has(accounts=each(each(sha256)))(facts)

    @override
    def describe(self, part: Part) -> str:
        return _counted(len(part.facts["accounts"]))

    @override
    def wanted(self, part: Part) -> set[str]:
        return set(part.facts["accounts"])

    @override
    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        assert stack.spec.mysql is not None  # noqa: S101 - there is a throwaway server of its kind
        with stack.engine.scratch("mysql") as scratch:
            door = scratch_door(scratch, stack.runner)
            began = time.monotonic()
            try:
                own_accounts.run(door, [line for lines in _statements(reader).values() for line in lines])
            except OpsError as error:
                return Trial((msg("they can't be loaded: {message}", message=error.message),))
            seconds = time.monotonic() - began
            with session(door) as asking:
                now = own_accounts.facts(own_accounts.collect(asking, stack.spec.mysql))
                same = version(asking) == part.server
        if not same:
            wrong = list(own_accounts.differences(_names(part.facts["accounts"]), _names(now)))
            return Trial(
                wrong, seconds, msg("made by {server}: names were compared, rights not", server=part.server)
            )
        return Trial(list(own_accounts.differences(part.facts["accounts"], now)), seconds)

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(administrator(stack)) as asking:
            found = own_accounts.collect(asking, stack.spec.mysql)
            return version(asking), _counted(len(found)) if found else ""

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        with session(administrator(stack)) as asking:
            there = own_accounts.there(asking)
        found = _statements(reader)
        self.bring(stack, found, [account for account in found if account not in there])

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        """Of accounts that were there, and may have been changed since, only whether they are there."""
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(administrator(stack)) as asking:
            now = own_accounts.facts(own_accounts.collect(asking, stack.spec.mysql))
            same = version(asking) == part.server
        ours = {own_accounts.label(account) for account in self.came_back(stack)}
        was = part.facts["accounts"]
        compared = {title: was[title] if same and title in ours else now.get(title, {}) for title in was}
        return list(own_accounts.differences(compared, {t: r for t, r in now.items() if t in was}))

    @override
    def put_back(self, stack: Stack, kind: str) -> None:
        if made := self.came_back(stack):
            own_accounts.run(administrator(stack), own_accounts.removing(made))
        self.forget(stack, kind)


class LoginsBackup(_OfAccounts):
    """What those accounts log in by."""

    name = "logins"
    title = "the passwords of the database's accounts"
    too_secret = msg("they are hashes of passwords")

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return has(logins=listed(text))(facts)

    @override
    def describe(self, part: Part) -> str:
        return msg("the passwords of {accounts}", accounts=_counted(len(part.facts["logins"])))

    @override
    def wanted(self, part: Part) -> set[str]:
        return set(part.facts["logins"])

    @override
    def part_of(self, copy: Path) -> Part:
        reader = PackedReader(copy, limit=_LONGEST)
        try:
            names = sorted(_read(reader))
        except OpsError as error:
            raise OpsError(
                msg("{copy}: {message}", copy=copy.name, message=error.message), msg("take another backup")
            ) from None
        return Part(
            self.name, copy.name, copy.stat().st_size, reader.raw_bytes, reader.sha256, 0.0,
            facts={"logins": names},
        )  # fmt: skip

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        return "", ""  # none is replaced: only accounts that wait for one get one

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        waiting = set(self._waiting(stack))
        found = _statements(reader)
        self.bring(stack, found, [account for account in found if own_accounts.label(account) in waiting])

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        waiting = set(self._waiting(stack))
        ours = [own_accounts.label(account) for account in self.came_back(stack)]
        return [f"account {each} has no password" for each in ours if each in waiting]

    @override
    def put_back(self, stack: Stack, kind: str) -> None:
        if made := self.came_back(stack):
            own_accounts.run(administrator(stack), own_accounts.shutting(made))
        self.forget(stack, kind)

    def _waiting(self, stack: Stack) -> list[str]:
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(administrator(stack)) as asking:
            return own_accounts.waiting(own_accounts.collect(asking, stack.spec.mysql))


def _counted(count: int) -> str:
    return msg("1 account") if count == 1 else msg("{count} accounts", count=count)


def _names(rights: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    return {account: {} for account in rights}


def _statements(reader: PackedReader) -> dict[Account, list[str]]:
    return own_accounts.read(b"".join(reader).decode("utf-8", "replace"))


def _read(reader: PackedReader) -> set[str]:
    """The accounts in a file, as a person writes them. Raises OpsError for one that is damaged."""
    return {own_accounts.label(account) for account in _statements(reader)}


BESIDE: tuple[BackupKind, ...] = (AccountsBackup(), LoginsBackup())
