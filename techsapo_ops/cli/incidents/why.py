"""`techsapo why`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psutil
import typer

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.cli.app.orchestrator import CaFileOption, UrlOption, orchestrator
from techsapo_ops.cli.arguments import completes, span_of
from techsapo_ops.cli.incidents import why_view
from techsapo_ops.cli.incidents.incident import Given, lines_of
from techsapo_ops.cli.language import spoken, spoken_language
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import harmless_values
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.bundle import read_bundle, write_bundle
from techsapo_ops.incidents.evidence import PACK_BYTES
from techsapo_ops.incidents.gather import worded
from techsapo_ops.incidents.pack import masked, pack_of
from techsapo_ops.masking.masker import Masker, mask
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from datetime import timedelta

    from techsapo_ops.cli.app.orchestrator import Orchestrator
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output
    from techsapo_ops.incidents.material import Material
    from techsapo_ops.masking import MaskLevel
    from techsapo_ops.stack.stack import Stack


def why(
    about: Annotated[
        str,
        typer.Argument(
            metavar="[ALERT|INCIDENT|QUESTION]",
            help="An alert, the number of an incident, or a question in your own words; default: the worst "
            "alert that fires.",
            show_default=False,
            autocompletion=completes("alerts"),
        ),
    ] = "",
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="AGE",
            help="How far back to look: from the beginning of the incident; for a question, from now.",
        ),
    ] = "30m",
    no_ask: Annotated[bool, typer.Option("--no-ask", help="Show the evidence, and ask no model.")] = False,
    show_sent: Annotated[
        bool,
        typer.Option("--show-sent", help="Show exactly what would be sent to providers, and send nothing."),
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FOLDER",
            help="Write the evidence that was read into a new folder, as a bundle.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Investigate a bundle in place of a running stack."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Add the output of a check to an incident; - reads standard input.",
        ),
    ] = None,
    check: Annotated[
        str,
        typer.Option(
            "--check", metavar="NAME", help="Name of the check that printed the output.", show_default=False
        ),
    ] = "",
    strike: Annotated[
        int | None,
        typer.Option(
            "--strike", metavar="CAUSE", min=1, max=100, help="Strike out the cause with this number."
        ),
    ] = None,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", metavar="TEXT", help="Why the struck-out cause is wrong.", show_default=False
        ),
    ] = "",
    resolve: Annotated[
        str | None, typer.Option("--resolve", metavar="CAUSE", help="End an incident with its cause.")
    ] = None,
    url: UrlOption = None,
    ca_file: CaFileOption = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show why an alert fires: the evidence first, then the verdict of the panel of models.

    The evidence needs no model and no running app. It is read in about 5 seconds from Prometheus, the
    services' logs, applies, jobs, this host, and your own services (`investigate.services`). What could not
    be read is listed. Looking changes nothing in the stack; asking the panel costs money.

    You can add the output of a check to an incident, strike out a cause, or end the incident with the actual
    cause. After new output or a strike-out, the verdict is drawn again from the providers' earlier replies.

    Examples:

      techsapo why

      techsapo why RedisDown --no-ask

      techsapo why "why are answers slow since noon?" --since 2h

      techsapo why RedisDown --export incident-12

      techsapo why --from incident-12

      techsapo why 12 --check disk_space --output df.txt

      techsapo why 12 --strike 1 --reason "the disk was full for days"

      techsapo why 12 --resolve "a log of the shop filled the disk"
    """
    span = span_of("--since", since)
    given = Given(output, check, strike, reason, resolve)
    if show_sent and (url is not None or about.isdecimal()):  # else the app would ask
        raise OpsError(
            msg("--show-sent needs an alert, a question or --from, on the stack's own host"),
            msg("e.g. techsapo why AppDown --show-sent"),
            exit_code=2,
        )
    if given.checked(about) or url is not None or about.isdecimal():  # incidents are the app's
        from techsapo_ops.cli.incidents.panel import verdict_of

        asked_app = orchestrator(url, place, ca_file)
        say = partial(verdict_of, asked_app, about, span.total_seconds(), ask=not no_ask)
        _of_app(asked_app, about, say, given, out)
        return
    now = datetime.now(UTC)
    stack: Stack | None = None
    if bundle is not None:
        material: Material | None = read_bundle(bundle)
    else:
        from techsapo_ops.cli.incidents.looking import ANSWERED, Deadline, looked_at
        from techsapo_ops.cli.open_stack import open_stack

        stack = open_stack(place.open())
        with out.busy(msg("reading all sources, at most {seconds:g} s", seconds=ANSWERED)):
            deadline = Deadline.from_start(psutil.Process().create_time())
            material = looked_at(stack, about, span, now, deadline)
    if material is None:
        out.json({"subject": None}) if out.as_json else out.data(msg("no alert is firing"))
        out.next("techsapo status")
        return
    if export is not None:
        write_bundle(export, masked(material, _mask(stack)))
    if show_sent:
        sent = _sent(stack, material)
        out.json({"sent": sent}) if out.as_json else out.data(sent)
        return
    said = material if out.as_json else worded(material, spoken)
    pack = pack_of(said, PACK_BYTES, _mask(stack), "en" if out.as_json else spoken_language())
    for line in why_view.lines(pack, now):
        out.data(line)
    asked = None if no_ask or stack is None else _asked(place, about, span, material, out)
    if out.as_json:
        out.json({**why_view.value(pack, material), "verdict": asked})
    elif asked is not None:
        out.data("")
        _show(asked, out)
    if stack is not None:
        from techsapo_ops.cli.incidents.looking import watched_services

        for service in watched_services(stack):
            if service.owner is not None and service.name in material.subject.services:
                out.say(msg("owner of {service}: {owner}", service=service.name, owner=service.owner))
        alert = material.subject.alert
        out.next(f"techsapo alerts runbook {alert}" if alert in alerts() else "techsapo status")


def _mask(stack: Stack | None) -> Callable[[str], str]:
    """Takes secrets out of what is shown."""
    if stack is None:
        return Masker("secrets").mask
    from techsapo_ops.cli.incidents.looking import mask_of

    return mask_of(stack)


def _sent(stack: Stack | None, material: Material) -> str:
    """As the app sends it: of a bundle as if nothing but patterns might leave."""
    from techsapo_ops.cli.incidents.looking import watched_services
    from techsapo_ops.cli.incidents.panel import sent_of
    from techsapo_ops.incidents.readers.services import may_leave

    level: MaskLevel = "personal" if stack is None else stack.spec.wallbounce.mask
    services = () if stack is None else watched_services(stack)
    language = "en" if stack is None else stack.spec.locale
    pack = pack_of(material, PACK_BYTES, partial(mask, level=level))
    return sent_of(pack, may_leave(services), language, Masker(level).mask)


def _asked(
    place: SpecChoice, about: str, since: timedelta, material: Material, out: Output
) -> dict[str, Any] | None:
    """What the panel says; that there is none is no failure of the evidence."""
    from techsapo_ops.cli.incidents.panel import verdict_of

    try:
        return verdict_of(orchestrator(None, place, None), about, since.total_seconds(), material)
    except OpsError as error:
        out.say(msg("no verdict from the panel: {why}", why=error.message))
        return None


def _of_app(
    asked: Orchestrator, about: str, say: Callable[[], dict[str, Any]], given: Given, out: Output
) -> None:
    """What the app says of `about`, after it was given something where it was."""
    if not given.checked(about):
        _show(say(), out, about)
        return
    incident = harmless_values(given.add_to(asked, int(about)))
    if out.as_json:
        out.json(incident)
        return
    if given.resolve is not None:
        out.data(msg("incident {number} has ended: {cause}", number=about, cause=incident["cause"]))
        return
    _show(say(), out, about)
    if incident["investigation"] == "due":
        out.say(msg("no cause is left, so the providers are asked again; run this command again in a minute"))


def _show(verdict: dict[str, Any], out: Output, about: str = "") -> None:
    if out.as_json:
        out.json(verdict)
        return
    for line in lines_of(verdict, of_incident=about.isdecimal()):
        out.data(line)
