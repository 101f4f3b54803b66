"""How the work on backups looks while it goes on, and the kinds of data that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

import typer
from typing_extensions import override

from techsapo_ops.adapters.resources import human
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.create import Watch
from techsapo_ops.backup.repository.records import LEVEL
from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.output import console
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from techsapo_ops.backup.repository.folder import Backup, Repository
    from techsapo_ops.cli.output import Output
    from techsapo_ops.stack.backup import Part


class Bars(Watch):
    """A bar a source on a terminal, with rate and time left; plain lines as sources end elsewhere.

    A bar is full at the size of the source in the newest backup.
    """

    def __init__(self, out: Output, repository: Repository) -> None:
        self._out = out
        self._repository = repository
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._out.quiet and not self._out.as_json:
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            known = [b.manifest for b in self._repository.backups() if b.manifest is not None]
            self._sizes = {part.kind: part.raw_bytes for m in known for part in m.parts}
            self._progress = Progress(
                TextColumn("{task.description:<13}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                TimeRemainingColumn(), console=console(stderr=True), transient=True,
            )  # fmt: skip
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    @override
    def progress(self, kind: str, count: int) -> None:
        if self._progress is None:
            return
        if kind not in self._tasks:
            self._tasks[kind] = self._progress.add_task(kind, total=self._sizes.get(kind) or None)
        self._progress.update(self._tasks[kind], completed=count)

    def say(self, text: str) -> None:
        """Tell how the work goes, above the bars."""
        if self._progress is None:
            self._out.say(text)
        elif not self._out.quiet:
            self._progress.console.print(spoken(text), markup=False)

    @override
    def ended(self, part: Part) -> None:
        if self._progress is not None and part.kind in self._tasks:
            self._progress.remove_task(self._tasks.pop(part.kind))
        if not self._out.as_json:
            self.say(_line(part))


def _line(part: Part) -> str:
    """One source that is done: what it holds, its size, time and rate."""
    rate = (
        msg(", {raw_bytes}/s", raw_bytes=human(part.raw_bytes / part.seconds)) if part.seconds > 0.5 else ""
    )
    return msg(
        "{kind:<13} {describe}, {raw_bytes} packed to {bytes} in {seconds:.1f} s{rate}",
        kind=part.kind,
        describe=registry.describe(part),
        raw_bytes=human(part.raw_bytes),
        bytes=human(part.bytes),
        seconds=part.seconds,
        rate=rate,
    )


def origin_of(repository: Repository, backup: Backup) -> dict[str, str]:
    """Whose backup it is, for JSON and for the screen; `unknown` to a user who may not read the key."""
    try:
        origin = repository.origin(backup)
    except OpsError as error:
        return {"state": "unknown", "why": error.message}
    return {"state": str(origin.state), "why": origin.why}


def state(checks: dict[str, Any], backup: Backup) -> str:
    """The results of a backup's checks, in a few words."""
    findings = []
    if backup.manifest is not None and backup.manifest.shrunk:
        findings.append(msg("shrunk, accepted") if "shrunk" in checks else msg("shrunk"))
    for key, good in (("deep", msg("restores")), ("quick", msg("intact"))):
        if key in checks:
            findings.append(good if checks[key]["ok"] else msg("failed"))
            break
    if checks.get("offsite", {}).get("ok"):
        findings.append(msg("off-site"))
    if LEVEL in checks:
        findings.append(
            msg("restored from off-site") if checks[LEVEL]["ok"] else msg("not restorable from off-site")
        )
    return joined(", ", findings) or msg("not yet")


def brief(value: dict[str, Any]) -> dict[str, Any]:
    """Without the facts, which `show --json` has."""
    parts = [{k: v for k, v in part.items() if k != "facts"} for part in value.get("parts", ())]
    return {**value, "parts": parts}


def backup_json(repository: Repository, backup: Backup) -> dict[str, Any]:
    """A backup with stable keys: its manifest, where it is, whose it is and the results of its checks."""
    fields: dict[str, Any] = {"id": backup.id}
    if (manifest := backup.manifest) is not None:
        shrunk = [asdict(each) for each in manifest.shrunk]
        fields = {
            **manifest.to_json(),
            "administration": asdict(head) if (head := manifest.administration) is not None else None,
            "shrunk": shrunk,
        }
    origin = origin_of(repository, backup)
    return {
        **fields,
        "folder": str(backup.folder),
        "damage": backup.damage,
        "authentication": origin["state"],
        "authentication_why": origin["why"],
        "checks": repository.checks(backup),
    }


Command = TypeVar("Command", bound=Callable[..., object])


def parse(only: str | None) -> tuple[str, ...]:
    """The kinds that `--only` names."""
    return tuple(word.strip() for word in only.split(",") if word.strip()) if only is not None else ()


def _option(help_: str) -> object:
    return typer.Option("--only", metavar="KIND,…", help=help_)


_HERE = ", ".join(kind.name for kind in registry.kinds() if not kind.too_secret)
BackedUpOption = Annotated[str | None, _option(f"One or more of: {_HERE}.")]
RestoredOption = Annotated[str | None, _option(f"One or more of: {', '.join(registry.names())}.")]


def telling_kinds(command: Command) -> Command:
    """Put into the help of `command` the titles of the kinds that are restored only by name."""
    titles = [kind.title for kind in registry.kinds() if kind.by_name_only]
    listed = " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
    by_name = f"{listed[0].upper()}{listed[1:]}"
    command.__doc__ = (command.__doc__ or "").replace("{kinds by name}", by_name)
    return command
