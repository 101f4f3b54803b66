"""`techsapo certs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.apply.administration import recorded
from techsapo_ops.certs.authority import revocable
from techsapo_ops.certs.authority import revoke as revoke_at_ca
from techsapo_ops.certs.needs import Certificates, certificates_of
from techsapo_ops.certs.renew import redeploy
from techsapo_ops.certs.renew import renew as perform
from techsapo_ops.certs.self_signed import CA_FOLDER
from techsapo_ops.certs.status import status as statuses_of
from techsapo_ops.certs.status import write_metrics
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.certs.certificates_view import renewal_error, renewal_words, show
from techsapo_ops.cli.jobs import runs as job_runs
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    CHANGES_PENDING,
    DryRunOption,
    JsonOutput,
    QuietOutput,
    SpecChoice,
    SpecPlace,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import Output, print_error, require_yes
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.certs.renew import Renewal

app = CommandGroup()

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]…",
        help="Certificates, as named under `certificates` in the spec; default: all.",
        autocompletion=completes("certificates"),
    ),
]


@app.command()
def status(
    names: NamesArgument = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show every certificate: days left, next renewal, and whether the stored certificate is the one served.

    Ends with exit code 1 if a certificate needs attention.

    Examples:

      techsapo certs status

      techsapo certs status --json
    """
    certificates = certificates_of(open_stack(place.open()), out.say)
    statuses = statuses_of(certificates, tuple(names or ()))
    if not names:
        write_metrics(certificates, statuses)
    if out.as_json:
        out.json(statuses)
    elif not statuses:
        out.say(msg("There are no certificates in the spec."))
        out.next("techsapo config explain certificates")
    else:
        show(statuses, out)
    if any(s.attention for s in statuses):
        raise typer.Exit(1)


@app.command()
def issue(
    names: NamesArgument = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Get the missing certificates, and put them into use.

    Does the same as `techsapo certs renew`: each certificate gets the action that is due.

    Examples:

      techsapo certs issue techsapo
    """
    _renew(place, names, out, wait)


@app.command()
def renew(
    names: NamesArgument = None,
    force: Annotated[bool, typer.Option("--force", help="Also renew certificates that are not due.")] = False,
    dry_run: DryRunOption = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Renew the certificates that are due and put them into use; show when the others are due.

    A certificate is due for renewal when a third of its life is left, or half if it is valid for ten days at
    most. It is also due when the CA asks for a renewal, when the names in the spec changed, or when its files
    are new. If a new certificate can't be put into use, the old one stays in use and the command ends with
    exit code 1. With `--dry-run`, the exit code is 100 if something would be done.

    Examples:

      techsapo certs renew

      techsapo certs renew techsapo --force

      techsapo certs renew --dry-run
    """
    _renew(place, names, out, wait, force=force, dry_run=dry_run)


@app.command()
def deploy(
    names: NamesArgument = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Put the newest stored certificates into use again: check them, reload nginx, and check over TLS that
    nginx serves them.

    Examples:

      techsapo certs deploy techsapo
    """
    certificates = certificates_of(open_stack(place.open()), out.say)
    _report(certificates, redeploy(certificates, tuple(names or ()), wait=wait), out)


@app.command()
def revoke(
    name: Annotated[
        str,
        typer.Argument(
            help="The certificate, as named under `certificates` in the spec.",
            autocompletion=completes("certificates"),
        ),
    ],
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help="Why: unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation.",
        ),
    ] = "unspecified",
    yes: YesOption = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
) -> None:
    """Have the CA revoke the certificate in use. The next `renew` gets a new certificate, with a new key.

    Examples:

      techsapo certs revoke techsapo --reason keyCompromise --yes
    """
    out = Output()
    certificates = certificates_of(open_stack(place.open()), out.say)
    version = revocable(certificates, name, reason)
    question = msg(
        "Revoke certificate {name} (version {number})? Clients will refuse it.",
        name=name,
        number=version.number,
    )
    require_yes(question, yes=yes)
    what = {"certificate": name, "version": version.number, "reason": reason}
    with recorded(certificates.topology.layout, msg("certs revoke"), what, out.warn):
        version = revoke_at_ca(certificates, name, reason, wait=wait)
    out.say(msg("certificate {name} (version {number}) is revoked", name=name, number=version.number))
    out.next(f"techsapo certs renew {name}")


@app.command()
def trust(*, place: SpecPlace) -> None:
    """Print the stack's own CA and how to trust it, for self-signed certificates in development.

    Examples:

      techsapo certs trust
    """
    out = Output()
    certificates = certificates_of(open_stack(place.open()), out.say)
    certificates.authority()
    path = certificates.topology.layout.certs / CA_FOLDER / "ca.pem"
    out.data(str(path))
    out.say(
        msg("Whoever trusts this CA trusts every certificate that this stack makes. For development only.")
    )
    out.say(msg("  curl             curl --cacert {path} https://…", path=path))
    install = f"cp {path} /usr/local/share/ca-certificates/techsapo.crt && update-ca-certificates"
    out.say(msg("  Debian, Ubuntu   {command}", command=install))
    out.say(msg("  Firefox          Settings, Certificates, Authorities, Import"))


@app.command(name="install-cron")
def install_cron(*, place: SpecPlace, out: QuietOutput) -> None:
    """Let the host's cron renew certificates: add the `certs` job to the crontab, and leave all other jobs as
    they are.

    `schedule.certs` in the spec sets the times, by default twice a day. `techsapo cron install` installs all
    jobs, `techsapo cron remove` removes them. The stack's own scheduler does the same without cron.

    Examples:

      techsapo certs install-cron
    """
    project = place.open()
    schedule = project.spec.schedule
    if schedule.certs is None:
        raise OpsError(
            msg("`schedule.certs` is turned off in the spec"),
            msg("remove `schedule.certs` from the spec to run the `certs` job twice a day"),
        )
    changed = job_runs.install_cron(project, out, frozenset({"certs"}))
    out.say(
        msg("the `certs` job in the crontab: {certs}", certs=schedule.certs)
        + ("" if changed else msg(" (as before)"))
    )
    if schedule.by == "service":
        out.say(
            msg(
                "the stack's own scheduler also starts the `certs` job; if cron and the scheduler both start "
                "it, the job still runs only once"
            )
        )
    out.next("techsapo jobs")


def _renew(
    place: SpecChoice,
    names: list[str] | None,
    out: Output,
    wait: float,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> None:
    certificates = certificates_of(open_stack(place.open()), out.say)
    renewals = perform(certificates, tuple(names or ()), force=force, dry_run=dry_run, wait=wait)
    _report(certificates, renewals, out, dry_run=dry_run)


def _report(
    certificates: Certificates,
    renewals: tuple[Renewal, ...],
    out: Output,
    *,
    dry_run: bool = False,
) -> None:
    if not dry_run:
        write_metrics(certificates, statuses_of(certificates))
    for renewal in renewals:
        if renewal.error is not None:
            print_error(renewal_error(renewal, renewal.error))
        else:
            out.say(renewal_words(renewal, dry_run))
    if not renewals:
        out.say(msg("There are no certificates to renew in the spec."))
    if any(r.error is not None for r in renewals):
        raise typer.Exit(1)
    if dry_run and any(r.due.need != "nothing" for r in renewals):
        raise typer.Exit(CHANGES_PENDING)
