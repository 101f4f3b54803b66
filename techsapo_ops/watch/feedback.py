"""Asks people about a few answers: one message with links, to whoever gets the weekly report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from techsapo_ops.adapters.files import read_text
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import APP_SPEC, CALIBRATION, calibration_file
from techsapo_ops.stack.address import page_url
from techsapo_ops.stack.stack import Stack
from techsapo_ops.wallbounce.evaluation import OWN_REQUESTS
from techsapo_ops.wallbounce.feedback.judged import Judged, judged, labelled
from techsapo_ops.wallbounce.feedback.picking import pick
from techsapo_ops.wallbounce.verdict.calibration import Calibration, loads
from techsapo_ops.wallbounce.verdict.proposal import FEWEST_NEW, newer
from techsapo_ops.watch.alerts.reports import send_report
from techsapo_ops.watch.costs import answered_of

_DAYS = 90
"""Days whose labels say what is rare."""
_FRESH = timedelta(days=4)
"""How old an answer that is asked about may be: over a weekend somebody still knows what became of it."""


def picked(analyses: Iterable[Judged], now: datetime) -> tuple[Judged, ...]:
    """The answers of the last days that people are asked about: of real models, and asked by people."""
    return pick(
        each
        for each in analyses
        if not each.simulated
        and (each.labels or (each.time >= now - _FRESH and not each.requests[0].startswith(OWN_REQUESTS)))
    )


def current_weights(stack: Stack) -> Calibration:
    """What the app runs with; before the first apply, what the user's file has. Raises OpsError.

    They differ where an apply of new weights was killed: then these are proposed, and applied, again.
    """
    named, config = stack.spec.wallbounce.calibration, stack.layout.config
    if named is None:
        return Calibration()
    applied = (config / APP_SPEC).exists()
    file = config / CALIBRATION if applied else calibration_file(named, stack.layout)
    return loads(read_text(file, what=msg("calibration")), str(file)) if file.exists() else Calibration()


def proposal_line(stack: Stack, analyses: Iterable[Judged], now: datetime) -> str | None:
    """On Mondays, that there are labels enough for new weights. Raises OpsError for a damaged calibration."""
    if now.astimezone().isoweekday() != 1:
        return None
    new = len(newer(labelled(analyses), current_weights(stack)))
    if new < FEWEST_NEW:
        return None
    return msg("{new} labels are new: `techsapo answers calibrate` proposes weights from them", new=new)


def lines_of(stack: Stack, answers: tuple[Judged, ...]) -> tuple[str, ...]:
    """A line with a link for each: not what was asked, nor which model was how sure."""
    zone = datetime.now().astimezone().tzinfo
    return tuple(
        msg(
            "{when:%m-%d %H:%M}: {link}",
            when=each.time.astimezone(zone),
            link=page_url(stack.spec, f"/feedback?{urlencode({'id': each.requests[0]})}"),
        )
        for each in answers
    )


def job(context: JobContext) -> JobResult:
    """Pick answers and send their links. Raises OpsError where a receiver did not take the message."""
    stack, now = context.stack(), datetime.now(UTC)
    analyses = judged(answered_of(stack, _DAYS))
    answers, proposal = picked(analyses, now), proposal_line(stack, analyses, now)
    if not answers and proposal is None:
        return JobResult(msg("there is no answer to ask about"))
    lines = (*lines_of(stack, answers), *([proposal] if proposal is not None else []))
    return send_report(context, msg("Were these answers right? Please label them."), lines)
