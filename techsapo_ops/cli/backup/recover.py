"""`techsapo recover`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.apply.stop import down
from techsapo_ops.backup.card import page
from techsapo_ops.backup.card.facts import card_of, note_printed
from techsapo_ops.backup.recover.draft import values_of
from techsapo_ops.backup.recover.journal import Asked, Desk, Recovered, others
from techsapo_ops.backup.recover.run import Recovery
from techsapo_ops.backup.recover.run import abandon as remove_what_was_made
from techsapo_ops.cli.arguments import time_of
from techsapo_ops.cli.backup.recover_doors import RecoverDoors, place_of, restic_at
from techsapo_ops.cli.backup.recovery_view import TITLES, look_json, recovered_json, show_look, show_recovered
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.next_command import without as same_without
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    DryRunOption,
    EngineOption,
    EnvironmentOption,
    JsonQuietOutput,
    QuietOutput,
    SpecPlace,
    WaitOption,
    YesOption,
    given_environment,
)
from techsapo_ops.cli.output import Output, confirm, require_yes
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.engines.at_work import forget_shared
from techsapo_ops.engines.swarm.machines_note import noted_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.masking.fields import has_password
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.layout import RESTIC_CACHE

app = CommandGroup(invoke_without_command=True)


@app.callback()
def recover(
    repository: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="REPOSITORY",
            help="The repository as restic names it: s3:…, sftp:…, rest:…, a folder.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Use the latest copy made at this time or before."),
    ] = None,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Folder of the stack.", show_default=True)
    ] = Path(),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set a field of the spec, e.g. nginx.listen=8080."),
    ] = None,
    engine: EngineOption = None,
    environment: EnvironmentOption = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="KIND", help="Do not restore this kind of data.")
    ] = None,
    revoke_all_keys: Annotated[
        bool, typer.Option("--revoke-all-keys", help="Revoke all API keys of the copy.")
    ] = False,
    project: Annotated[
        str,
        typer.Option(
            "--project", metavar="NAME", help="Which stack to recover, if the repository has several."
        ),
    ] = "",
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", help="File with the repository's password."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option for restic.")
    ] = None,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Remove everything that an unfinished recovery has made.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    *,
    out: JsonQuietOutput,
) -> None:
    """Bring the whole service back on an empty host, from the off-site repository and its password alone.

    Fetches spec, secrets, keys and backups, shows what comes back and what does not, and asks for
    confirmation. Then the command places the files, starts the stack, restores and compares all data, sets up
    certificates and schedule, and prints the times. Nothing is overwritten. If the command is killed, run it
    again to continue.

    The password is read from --password-file, RESTIC_PASSWORD_FILE or RESTIC_PASSWORD, or asked for; logins
    of S3 and REST are read as restic does. For a REST server, write only the user in --from, because `ps`
    shows the command line. Set RESTIC_REST_PASSWORD, or type the password when asked.

    A stack of several hosts is recovered on the same number of hosts; name the new ones with --set. With
    --engine compose, the stack is recovered on this host alone (docs/three-machines.md). An API key stays
    revoked if it is revoked in this copy or in a newer one. A key revoked after the latest copy becomes valid
    again: check the list, or pass --revoke-all-keys.

    Examples:

      techsapo recover --from s3:https://s3.example.com/backups --into /srv/techsapo

      techsapo recover --from /mnt/backups --at 2026-01-31T14:00:00 --dry-run

      techsapo recover --from sftp:me@backup:/techsapo --engine compose --set nginx.listen=8080

      techsapo recover --from rest:https://me@backup.example.com/techsapo

      techsapo recover --from /mnt/backups --set hosts.c.address=10.0.0.9 --set hosts.c.docker=ssh://ops@c

      techsapo recover card | lp

      techsapo recover --from /mnt/backups --revoke-all-keys

      techsapo recover --abandon --into /srv/techsapo
    """
    into = user_path(into).resolve()
    require_trust(into / "techsapo.yaml")
    desk, doors = Desk(into / STATE_DIRECTORY), RecoverDoors(out)
    if abandon:
        _abandon(desk, doors, out, yes, wait)
        return
    if repository is None:
        raise OpsError(
            msg("--from is missing: give the repository as restic names it"),
            msg("e.g. --from s3:https://s3.example.com/backups"),
            exit_code=2,
        )
    if has_password(repository):
        out.warn(
            msg(
                "anyone on this host can read the password in --from with `ps`. Write only the user name in "
                "--from, and set RESTIC_REST_PASSWORD or type the password when asked"
            )
        )
    values_of(settings or ())  # what is no PATH=VALUE is said before anything is fetched
    asked = Asked(
        place_of(repository),
        time_of("--at", at).isoformat() if at is not None else "",
        project,
        tuple(settings or ()),
        engine,
        given_environment(environment),
        tuple(without or ()),
        revoke_all_keys,
    )
    restic = restic_at(asked.repository, password_file, option or (), desk.folder / RESTIC_CACHE)
    with desk.lock(wait), _interrupted_in_words(desk, out):
        done = _recover(Recovery(restic, into, desk, doors, out.say), asked, out, dry_run, yes)
    if out.as_json:
        out.json(recovered_json(done))
    else:
        show_recovered(done, out)
    if done.remaining:
        raise typer.Exit(1)
    folder = Path(done.spec).parent
    out.next(("" if folder == Path.cwd() else f"cd {shlex.quote(str(folder))} && ") + "techsapo health")


def _recover(recovery: Recovery, asked: Asked, out: Output, dry_run: bool, yes: bool) -> Recovered:
    known = recovery.desk.journal.read() is not None
    recovery.begin(asked)
    try:
        recovery.fetch()
        look = recovery.preview()
    except BaseException:
        if dry_run and not known:
            recovery.desk.clear()
        raise
    if look is not None:
        if not out.as_json:
            show_look(look, out)
        if dry_run:
            if not known:
                recovery.desk.clear()
            if out.as_json:
                out.json(look_json(look))
            out.next(same_without("--dry-run"))
            raise typer.Exit(1 if look.blockers else 0)
        if look.blockers:
            first, remedy = look.blockers[0]
            raise OpsError(
                msg("the recovery can't go ahead: {first}", first=first),
                msg(
                    "{remedy}; then run the same command again. To give up the recovery, run `techsapo "
                    "recover --abandon`",
                    remedy=remedy or msg("fix this problem"),
                ),
            )
        if not recovery.agreed and not confirm(msg("recover it?"), yes=yes):
            out.say(
                msg(
                    "nothing more was placed; the files placed so far remain. To continue, run the same "
                    "command; to remove the files, run `techsapo recover --abandon`"
                )
                if recovery.placing
                else msg(
                    "nothing was placed; the fetched copy remains. To continue, run the same command; to "
                    "remove the copy, run `techsapo recover --abandon`"
                )
            )
            raise typer.Exit(1)
    elif dry_run:
        raise OpsError(
            msg("too late for --dry-run: this recovery has already placed its files"),
            msg("continue without --dry-run"),
        )
    return recovery.run(look)


@contextmanager
def _interrupted_in_words(desk: Desk, out: Output) -> Iterator[None]:
    """Say at Ctrl-C how far it has come, and what goes on from there."""
    try:
        yield
    except KeyboardInterrupt:
        entry = desk.journal.read()
        if entry is None and others(desk.state):
            out.warn(
                msg(
                    "interrupted at the very end: the stack is already recovered; check it with `techsapo "
                    "health`"
                )
            )
        elif entry is None:
            out.warn(msg("interrupted: no file was placed, and the fetched copy was deleted"))
        else:
            steps = entry.facts.steps
            step = next((each for each in steps if each not in entry.done), steps[-1])
            out.warn(
                msg(
                    "interrupted at: {titles}. To continue from there, run the same command; to remove "
                    "everything made so far, run `techsapo recover --abandon`",
                    titles=TITLES[step],
                )
            )
        raise


def _abandon(desk: Desk, doors: RecoverDoors, out: Output, yes: bool, wait: float) -> None:
    if desk.journal.read() is None:
        raise OpsError(
            msg("no recovery is under way in {parent}", parent=desk.state.parent),
            msg("check the folder given with --into"),
        )
    require_yes(
        msg("Remove everything that this recovery made in {parent}?", parent=desk.state.parent), yes=yes
    )
    for gone in remove_what_was_made(desk, doors, lambda file: _stop(file, out), wait=wait):
        out.say(msg("removed {gone}", gone=gone))


def _stop(file: Path, out: Output) -> None:
    stack = recorded_stack(file)
    note = noted_machines(stack.layout.state)
    down(stack, remove_data=True, warn=out.warn)
    if message := forget_shared(note, runner()):
        out.say(message)


@app.command()
def card(
    language: Annotated[
        Literal["en", "ja"] | None, typer.Option("--lang", help="Language.", show_default="the spec's")
    ] = None,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Print the recovery card: how to recover everything without this host. Keep the card somewhere else.

    One A4 page with the repository, the place where its password is kept, the names of logins, every command
    for a bare machine, DNS names, ports, whom to call, and the last verified copy. The card contains no
    password. `techsapo doctor` shows when the card is out of date.

    Examples:

      techsapo recover card | lp

      techsapo recover card --lang en > card.txt
    """
    stack = open_stack(place.open())
    made, now = card_of(stack), datetime.now().astimezone()
    locale = language or stack.spec.locale
    out.data(page.text(made, locale, now).rstrip("\n"))
    note_printed(stack, made)
    for sentence in made.lacking:
        out.warn(sentence)
