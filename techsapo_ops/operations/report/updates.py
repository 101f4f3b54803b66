"""Which updates wait: services to restart, newer packages, other images."""

from __future__ import annotations

from typing import Any

from techsapo_ops.adapters.packages import Pending
from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.catalogue.report import Words
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.report.section import NAME, Sources, named, some
from techsapo_ops.operations.updates import has_packages, image_updates, package_updates

Found = tuple[list[str], dict[str, Any]]


def updates(sources: Sources) -> Found:
    """Services that run what an update has replaced, as the job drift saw it last, and what is newer."""
    words = sources.words
    seen = [
        s for s in read_textfile(sources.stack.layout.textfiles, "drift") if s.metric.endswith("_replaced")
    ]
    waiting = sorted(s.labels.get("service", "") for s in seen if s.value)
    line = words("updates_none") if seen else words("updates_unseen")
    if waiting:
        line = words("updates", names=some(words, [named(name) for name in waiting]))
    containers = sources.stack.topology.places.from_images
    lines, facts = _images(sources) if containers else _packages(sources)
    return [line, *lines], {"looked": bool(seen), "waiting": waiting, **facts}


def _packages(sources: Sources) -> Found:
    words, now = sources.words, sources.now.timestamp()
    if not has_packages(sources.stack):
        return [words("updates_no_debian")], {"packages_looked_for": False}
    try:
        found = package_updates(sources.stack)
    except (OpsError, OSError) as error:
        return [words("updates_failed", why=_why(error))], {"packages_looked_for": False}
    if found.fetched is None:
        return [words("updates_no_lists")], {"packages_looked_for": False}
    names = some(words, [_package(words, update.pending) for update in found.updates])
    lines = [words("updates_packages", names=names) if names else words("updates_packages_none")]
    others = sum(each.security for each in found.others)
    if others:
        lines.append(words("updates_others", count=others))
    stale = found.stale(now)
    told = words("updates_stale", days=found.age_days(now)) if stale else ""
    lines.append(told or words("updates_lists", when=sources.clock(found.fetched)))
    return lines, {
        "packages_looked_for": True,
        "package_lists": {"fetched": sources.iso(found.fetched), "stale": stale},
        "packages": [{**_json(update.pending), "services": update.services} for update in found.updates],
        "security_updates_of_others": others,
    }


def _images(sources: Sources) -> Found:
    words, facts = sources.words, {"packages_looked_for": False, "registry_asked": False}
    try:
        found = image_updates(sources.stack)
    except (OpsError, OSError) as error:
        return [words("updates_images_failed", why=_why(error)), words("updates_registry")], facts
    shown = [
        words("updates_image", name=named(each.service), runs=named(each.runs), wanted=named(each.wanted))
        for each in found
    ]
    line = words("updates_images", names=some(words, shown, 1)) if shown else words("updates_images_none")
    told = [{"service": each.service, "runs": each.runs, "wanted": each.wanted} for each in found]
    return [line, words("updates_registry")], {**facts, "images": told}


def _package(words: Words, pending: Pending) -> str:
    name = named(pending.package)
    name = words("security", name=name) if pending.security else name
    return words("held", name=name) if pending.held else name


def _json(pending: Pending) -> dict[str, Any]:
    return {
        "package": pending.package,
        "installed": pending.installed,
        "candidate": pending.candidate,
        "security": pending.security,
        "held": pending.held,
    }


def _why(error: Exception) -> str:
    told = error.message if isinstance(error, OpsError) else str(error)
    return named(told.splitlines()[0] if told else type(error).__name__, 2 * NAME)
