"""What the host itself knows: backups, jobs, certificates, the ends of models."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from techsapo_ops.backup.repository import repository_of
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.operations.backup.metrics import samples
from techsapo_ops.operations.backup.proof import proofs
from techsapo_ops.operations.certificates.needs import certificates_of
from techsapo_ops.operations.certificates.status import status
from techsapo_ops.operations.drills.kept import newest
from techsapo_ops.operations.report.section import Sources, named, some
from techsapo_ops.schedule.runs import Runs
from techsapo_ops.services.prometheus.alert_rules import threshold_of
from techsapo_ops.spec.model_facts import announced_end
from techsapo_ops.spec.models.providers import ModelProvider

_BAD = ("failed", "timeout", "killed")


def backups(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """The newest backup, the newest that was restored on trial, and the time that took."""
    words = sources.words
    found: dict[str, float] = defaultdict(float)
    for sample in samples(repository_of(sources.stack)):
        found[sample.metric.removeprefix("techsapo_backup_")] += sample.value
    newest, proved = found.get("newest_timestamp_seconds"), found.get("newest_verified_timestamp_seconds")
    promised = threshold_of(sources.stack.spec, alerts()["BackupRecoverySlow"]) or 0.0
    minutes = found.get("recovery_seconds", 0.0) / 60 if proved is not None else None
    bad = found.get("last_verification_success") == 0
    facts = {
        "newest": sources.iso(newest),
        "newest_proved": sources.iso(proved),
        "recovery_minutes": None if minutes is None else round(minutes, 2),
        "promised_minutes": promised,
        "last_verification_failed": bad,
    }
    lines = [words("backup_bad")] if bad else []
    away = proofs(sources.stack.layout)
    if sources.stack.spec.backup.offsite is not None:
        came = datetime.fromisoformat(away["good"]["at"]).timestamp() if "good" in away else None
        facts["offsite_proved"] = sources.iso(came)
        facts["offsite_failed"] = "last" in away and not away["last"]["ok"]
        if facts["offsite_failed"]:
            lines.append(words("backup_away_bad"))
        elif came is not None:
            lines.append(words("backup_away", when=sources.clock(came)))
        elif sources.stack.spec.schedule.verify_offsite is not None:
            lines.append(words("backup_never_away"))
    if newest is None:
        return [words("backup_none"), *lines], facts
    first = [words("backup_newest", when=sources.clock(newest))]
    if proved is None or minutes is None:
        first.append(words("backup_unproved"))
    else:
        late = "backup_late" if minutes > promised else "backup_time"
        first.append(words("backup_proved", when=sources.clock(proved)))
        first.append(words(late, minutes=f"{minutes:.1f}", promised=f"{promised:g}"))
    return [words.joined(first), words.joined(lines)] if lines else [words.joined(first)], facts


def drills(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """The newest of each drill, and whether it met its objectives."""
    words = sources.words
    found = newest(sources.stack.layout)
    facts = {
        "drills": [
            {"drill": r.drill, "at": r.started.isoformat(), "ok": r.ok, "missed": list(r.missed)}
            for r in found.values()
        ]
    }
    if not found:
        return [words("drills_none")], facts
    shown = [
        words(
            "drill_met" if report.ok else "drill_missed",
            name=drill,
            when=sources.clock(report.started.timestamp()),
        )
        for drill, report in found.items()
    ]
    return [some(words, shown, 4)], facts


def job_runs(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """How the week's runs of all jobs ended; the report's own are not among them."""
    words, runs = sources.words, Runs(sources.stack.layout.jobs)
    week = [
        run
        for name in jobs()
        if name != "report"
        for run in runs.of(name)
        if run.started >= sources.begin and run.result != "running"
    ]
    failed = Counter(run.job for run in week if run.result in _BAD)
    facts = {"runs": len(week), "failed": dict(failed)}
    if not week:
        return [words("jobs_none")], facts
    if not failed:
        return [words("jobs_well", count=len(week))], facts
    names = some(words, [words("times", name=name, count=count) for name, count in failed.most_common()])
    return [words("jobs_failed", count=len(week), failed=failed.total(), names=names)], facts


def certificates(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """The certificate that ends first, and those that need somebody."""
    words = sources.words
    found = status(certificates_of(sources.stack, lambda _: None))
    if not found:
        return [words("certificates_none")], {"next": None, "attention": []}
    ends = sorted((s.not_after, s.name) for s in found if s.not_after is not None)
    look = [s.name for s in found if s.attention]
    lines = [words("certificates_unknown")]
    if ends:
        end, name = ends[0]
        over, days = end <= sources.now, (end - sources.now).days
        when = sources.clock(end.timestamp())
        lines = [
            words("certificate_over" if over else "certificate_next", name=named(name), when=when, days=days)
        ]
    if look:
        lines.append(words("certificate_look", names=some(words, [named(name) for name in look])))
    nearest = {"name": ends[0][1], "ends": ends[0][0].isoformat()} if ends else None
    return lines, {"next": nearest, "attention": look}


def models(sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """Models of the spec whose end their vendor has announced, the nearest first."""
    words = sources.words
    found = sorted(
        (end.retires, name, provider.model, end.replacement)
        for name, provider in sources.stack.spec.providers.items()
        if provider.enabled and isinstance(provider, ModelProvider)
        if (end := announced_end(provider)) is not None
    )
    shown = [
        words(
            "model" if replacement else "model_alone",
            name=named(name), model=named(model), when=when, replacement=named(replacement or ""),
        )
        for when, name, model, replacement in found
    ]  # fmt: skip
    return [some(words, [line], 1) for line in shown[:2]] + (
        [words("rest", count=len(shown) - 2)] if len(shown) > 2 else []
    ) or [words("models_none")], {
        "models": [
            {"provider": name, "model": model, "retires": when.isoformat(), "replacement": replacement}
            for when, name, model, replacement in found
        ]
    }
