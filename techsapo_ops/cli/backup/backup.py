"""`techsapo backup`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.resources import human
from techsapo_ops.backup.create import create_backup, select
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.prune import prune_backups
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.records import LEVEL
from techsapo_ops.backup.verify import accept_backup, try_password, verify_backup
from techsapo_ops.backup.verify_offsite import verify_offsite
from techsapo_ops.cli.backup.backups_view import (
    BackedUpOption,
    Bars,
    backup_json,
    brief,
    origin_of,
    parse,
    state,
)
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    BackupArgument,
    DryRunOption,
    JsonOutput,
    JsonQuietOutput,
    QuietOutput,
    SpecChoice,
    SpecPlace,
    WaitOption,
)
from techsapo_ops.cli.output import Output, interactive
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg, template
from techsapo_ops.spec.secret import Secret

if TYPE_CHECKING:
    from techsapo_ops.backup.repository.folder import Repository
    from techsapo_ops.backup.repository.verify import Verification

app = CommandGroup(
    invoke_without_command=True,
    help="Back up data and configuration, e.g. `techsapo backup`, `techsapo backup verify --deep`.",
)

TagOption = Annotated[str, typer.Option("--tag", help="A label for the backup.")]


@app.callback()
def root(
    only: BackedUpOption = None,
    tag: TagOption = "",
    dry_run: DryRunOption = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: JsonQuietOutput,
) -> None:
    """Back up data and configuration; list, verify and prune backups.

    Without a command it makes one of all sources at once.

    Examples:

      techsapo backup

      techsapo backup --only redis,mysql --tag before-migration

      techsapo backup verify --deep
    """
    stack = open_stack(place.open())
    repository = repository_of(stack)
    if dry_run:
        selection = select(stack, parse(only))
        kinds = [source.kind for source in selection.sources]
        if out.as_json:
            out.json({"path": str(repository.path), "sources": kinds, "left_out": selection.left_out})
        rows = [(kind, msg("would be backed up")) for kind in kinds]
        out.table(("source", ""), [*rows, *selection.left_out.items()])
        out.next("techsapo backup")
        return
    with Bars(out, repository) as bars:
        made = create_backup(stack, only=parse(only), tag=tag, wait=wait, watch=bars)
    for warning in made.warnings:
        out.warn(warning)
    if out.as_json:
        out.json(backup_json(repository, made.backup))
        return
    out.data(made.backup.id)
    out.say(msg("stored in {folder}", folder=made.backup.folder))
    if made.away:
        out.say(msg("copied off-site as restic snapshot {away}", away=made.away))
    out.next("techsapo backup verify --deep")


@app.command(name="list")
def list_backups(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the backups, oldest first.

    Examples:

      techsapo backup list --json
    """
    repository = _repository(place)
    known = repository.backups()
    if out.as_json:
        out.json([brief(backup_json(repository, backup)) for backup in known])
        return
    here = {backup.id for backup in known}
    noted = repository.places.elsewhere() if repository.places is not None else ()
    others = [place for place in noted if place.id not in here]
    if not known:
        out.say(msg("There is no backup in {path}.", path=repository.path))
    if not known and not others:
        out.next("techsapo backup")
        return
    rows = []
    for backup in known:
        manifest = backup.manifest
        origin = str(origin_of(repository, backup)["state"])
        if manifest is None:
            rows.append((backup.id, "", "", "", "damaged", origin, ""))
            continue
        rows.append(
            (
                backup.id,
                f"{manifest.started.astimezone():%Y-%m-%d %H:%M:%S}",
                human(manifest.bytes),
                ", ".join(manifest.kinds),
                state(repository.checks(backup), backup),
                origin,
                manifest.tag,
            )
        )
    if known:
        out.table(("id", "begun", "size", "sources", "checked", "origin", "tag"), rows, right=("size",))
    if others:
        out.say(msg("backups on other hosts:"))
        elsewhere = [
            (
                each.id,
                f"{each.started.astimezone():%Y-%m-%d %H:%M:%S}",
                human(each.bytes),
                ", ".join(each.sources),
                f"{each.host}:{each.folder}",
                each.tag,
            )
            for each in others
        ]
        out.table(("id", "begun", "size", "sources", "place", "tag"), elsewhere, right=("size",))


@app.command()
def show(
    which: BackupArgument = "latest",
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show the contents of a backup and the results of its checks.

    Examples:

      techsapo backup show latest
    """
    repository = _repository(place)
    backup = repository.find(which)
    if out.as_json:
        out.json(backup_json(repository, backup))
        return
    manifest = backup.read()
    took = (manifest.ended - manifest.started).total_seconds()
    begun = f"{manifest.started.astimezone():%Y-%m-%d %H:%M:%S}"
    out.data(
        msg(
            "{id}  {begun}, {took:.1f} s  {tag}", id=manifest.id, begun=begun, took=took, tag=manifest.tag
        ).rstrip()
    )
    out.data(f"{backup.folder}\n")
    rows = [
        (p.kind, registry.describe(p), human(p.raw_bytes), human(p.bytes), p.server, p.file)
        for p in manifest.parts
    ]
    out.table(("source", "holds", "plain", "packed", "made by", "file"), rows, right=("plain", "packed"))
    for kind, why in manifest.left_out.items():
        out.data(msg("{kind}: {why}", kind=kind, why=why))
    origin = origin_of(repository, backup)
    out.data(msg("\norigin: {filter}", filter=joined(", ", filter(None, origin.values()))))
    out.data(msg("checked: {state}", state=state(repository.checks(backup), backup)))
    for shrink in manifest.shrunk:
        out.data(str(shrink))
    for check in repository.checks(backup).values():
        for part in check.get("parts", ()):
            for problem in part["problems"]:
                out.data(msg("  {kind}: {problem}", kind=part["kind"], problem=problem))


@app.command()
def verify(
    which: BackupArgument = "latest",
    deep: Annotated[
        bool, typer.Option("--deep", help="Restore the backup into throwaway servers, and compare.")
    ] = False,
    offsite: Annotated[
        bool, typer.Option("--offsite", help="Fetch the off-site copy, restore it as a test, and compare.")
    ] = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: JsonQuietOutput,
) -> None:
    """Check whether a backup is intact; with --deep, whether it restores without a difference.

    With --offsite, the copy is fetched from the off-site repository, together with its spec, keys and
    secrets; the local folder is not read. The default is the latest copy. A backup that is gone locally can
    also be named by its id.

    Examples:

      techsapo backup verify

      techsapo backup verify --deep --json

      techsapo backup verify --offsite
    """
    stack = open_stack(place.open())
    with Bars(out, repository_of(stack)) as bars:
        if offsite:
            verification = verify_offsite(stack, which, wait=wait, say=bars.say, progress=bars.progress)
        else:
            verification = verify_backup(stack, which, deep=deep, wait=wait, progress=bars.progress)
    if out.as_json:
        out.json({**asdict(verification), "ok": verification.ok})
    else:
        _show(verification, out)
    if not verification.ok or verification.passed_over:
        raise typer.Exit(1)


_GOOD = {
    "quick": msg("is intact"),
    "deep": msg("was restored as a test: no differences"),
    LEVEL: msg("was fetched from off-site and restored as a test: no differences"),
}


def _show(verification: Verification, out: Output) -> None:
    rows = [(p.kind, "ok" if p.ok else "failed", f"{p.seconds:.1f} s", p.note) for p in verification.parts]
    if rows and not (out.quiet and verification.ok):
        took = template("TOOK") if verification.level == "quick" else template("RESTORED IN")
        out.table(("source", "state", took, ""), rows, right=(took,))
    for sentence in verification.sentences:
        out.data(msg("{id}: {sentence}", id=verification.id, sentence=sentence))
    if verification.note:
        out.say(verification.note)
    if verification.ok:
        out.say(
            msg(
                "{id} {good} ({seconds:.1f} s)",
                id=verification.id,
                good=_GOOD[verification.level],
                seconds=verification.seconds,
            )
        )
    elif verification.level == LEVEL:
        out.say(msg("`techsapo backup` makes a new backup and copies it off-site"))
        out.next("techsapo alerts runbook BackupVerificationFailed")
    else:
        out.say(msg("`techsapo backup list` shows which backups are good"))
        out.next("techsapo backup")
    for sentence in verification.passed_over:
        out.warn(msg("a newer backup was skipped: {sentence}", sentence=sentence))
    if verification.ok and verification.passed_over:
        out.next("techsapo backup")


@app.command()
def accept(
    which: Annotated[str, typer.Argument(metavar="ID", help="An id, or its beginning.")],
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Accept a backup whose data shrank, or one that this stack does not recognise as its own.

    The data loss then counts as intended: the alert ends, and `techsapo backup prune` may remove the previous
    backup. If the backup has no MAC from a key on this host, it gets one, so check the backup's folder first.
    A backup with a wrong MAC is never accepted.

    Examples:

      techsapo backup accept 20260131T020000Z
    """
    stack = open_stack(place.open())
    backup = accept_backup(stack, which, wait=wait, warn=out.warn)
    out.say(msg("backup {id} is accepted", id=backup.id))
    for shrink in backup.read().shrunk:
        out.say(msg("accepted: {shrink}", shrink=shrink))
    out.next(f"techsapo backup verify {backup.id} --deep")


@app.command(name="unlock-test")
def unlock_test(*, place: SpecPlace, wait: WaitOption = 0.0, out: QuietOutput) -> None:
    """Ask for the password of the off-site repository, and try to open the repository with that password.

    Fetch the password from the place named on the recovery card; the command reads no file and no variable.
    An alert fires if nobody has done this test for 90 days.

    Examples:

      techsapo backup unlock-test
    """
    stack = open_stack(place.open())
    if not interactive():
        raise OpsError(
            msg("a person has to type the password, and there is no terminal"),
            msg("run this command on a terminal; the recovery card says where the password is"),
            exit_code=2,
        )
    typed = Secret(typer.prompt("password of the repository", hide_input=True, err=True))
    try_password(stack, typed, wait=wait, warn=out.warn)
    out.say(msg("the password opens the repository"))


@app.command()
def prune(
    dry_run: DryRunOption = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Remove the backups that `backup.keep` no longer covers.

    Off-site copies are removed only if `backup.offsite.prune` is on. The last good backup, the last one
    restored as a test, and everything that a point-in-time restore needs always stay.

    Examples:

      techsapo backup prune --dry-run
    """
    stack = open_stack(place.open())
    done = prune_backups(stack, dry_run=dry_run, wait=wait, warn=out.warn)
    going = msg("to remove") if dry_run else msg("removed")
    rows = [(v.id, msg("stays") if v.keep else going, joined(", ", v.reasons)) for v in done.verdicts]
    if rows and not out.quiet:
        out.table(("id", "", "why"), rows)
    count = sum(not v.keep for v in done.verdicts)
    out.say(
        msg(
            "{which} {count} of {count2} backups, {bytes}",
            which=msg("would remove") if dry_run else msg("removed"),
            count=count,
            count2=len(rows),
            bytes=human(done.bytes),
        )
    )
    gone = [verdict.id for verdict in done.offsite if not verdict.keep]
    if done.offsite:
        out.say(
            msg(
                "off-site: {which} {count} of {count2} copies",
                which=msg("would remove") if dry_run else msg("removed"),
                count=len(gone),
                count2=len(done.offsite),
            )
        )
    if dry_run and (count or gone):
        out.next("techsapo backup prune")


def _repository(place: SpecChoice) -> Repository:
    return repository_of(open_stack(place.open()))
