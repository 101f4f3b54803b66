"""alertmanager.yml and its notification texts. Secrets are named by file, never written here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from techsapo_ops.catalogue.alerts import PAGE
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager import investigating
from techsapo_ops.services.alertmanager.routes import (
    BUSINESS_HOURS,
    GROUP_BY,
    PAGE_FAILING,
    TEST_LABEL,
    mutes,
    routes,
)
from techsapo_ops.services.alertmanager.signing import signatures_seen, signs
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.notifications import (
    EmailReceiver,
    RawReceiver,
    SlackReceiver,
    WebhookReceiver,
)
from techsapo_ops.stack.address import page_url
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.secrets import secret_name
from techsapo_ops.stack.templates import Templates, go_template_text
from techsapo_ops.stack.topology import Topology

ALERTMANAGER_YML = "alertmanager/alertmanager.yml"
NOTIFICATION_TEXTS = "alertmanager/templates/techsapo.tmpl"

WATCHDOG_RECEIVER = "watchdog"
"""Takes the alert that always fires."""
REPORT = "WeeklyReport"
"""Name of the alert that carries the weekly report, which the job of that name sends."""
REPORT_RECEIVER = "report"


def alertmanager_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """alertmanager/alertmanager.yml and its templates, or nothing where the stack has no Alertmanager.

    With receivers passed through as they are, the file may hold secrets, and is then readable by
    Alertmanager alone. Raises OpsError for a receiver that could never send.
    """
    if not topology.has("alertmanager"):
        return ()
    spec = topology.spec
    settings = spec.monitoring.alertmanager
    reports = investigating.investigates(topology)
    texts = templates.render(
        f"alertmanager/techsapo.{spec.locale}.tmpl.j2", project=spec.project, pages=page_url(spec, "")
    )
    content = templates.render(
        "alertmanager/alertmanager.yml.j2",
        smtp=_smtp(topology),
        signatures=str(signatures_seen(topology)) if signs(topology) else None,
        group_by=list(GROUP_BY),
        group_wait=settings.group_wait,
        group_interval=settings.group_interval,
        repeat_interval=settings.repeat_interval,
        routes=[*((investigating.route(),) if reports else ()), *routes(topology)],
        hours=_hours(spec),
        mutes=mutes(topology),
        test_label=TEST_LABEL,
        report=REPORT,
        receivers=[
            *_pages(topology),
            *(_receiver(topology, name, each) for name, each in spec.notifications.lists() if name != PAGE),
            _report(topology),
            *((investigating.receiver(topology),) if reports else ()),
        ],
    )
    raw = any(isinstance(receiver, RawReceiver) for receiver in spec.notifications.receivers.values())
    return (
        RenderedFile(
            ALERTMANAGER_YML,
            content,
            mode=0o600 if raw else 0o644,
            secret=raw,
            owner="alertmanager" if raw else None,
        ),
        RenderedFile(NOTIFICATION_TEXTS, texts),
    )


def _hours(spec: Spec) -> list[dict[str, Any]]:
    hours = spec.notifications.business_hours
    if hours is None:
        return []
    interval = {
        "weekdays": list(hours.days),
        "times": [{"start_time": hours.start, "end_time": hours.end}],
        "location": hours.timezone,
    }
    return [{"name": BUSINESS_HOURS, "time_intervals": [interval]}]


def _smtp(topology: Topology) -> dict[str, Any]:
    smtp = topology.spec.notifications.smtp
    if smtp is None:
        return {}
    settings: dict[str, Any] = {
        "smtp_smarthost": smtp.smarthost,
        "smtp_from": go_template_text(smtp.sender),
        "smtp_require_tls": smtp.require_tls,
    }
    if smtp.username is not None:
        settings["smtp_auth_username"] = smtp.username
    if smtp.password is not None:
        settings["smtp_auth_password_file"] = _secret(topology, "notifications.smtp.password")
    return settings


def _secret(topology: Topology, path: str) -> str:
    return str(topology.secret_path(secret_name(path)))


def _receiver(topology: Topology, listed: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Alertmanager's receiver for those of the list `listed`, each under the key of its kind."""
    merged: dict[str, Any] = {"name": listed.removesuffix(".receivers")}
    for name in names:
        _add(topology, merged, name)
    if listed in (WATCHDOG_RECEIVER, "info"):
        # Whoever counts on the watchdog takes any message for a sign of life, the one that it is over, too.
        # What is for the record is one message.
        _never_over(merged)
    return merged


def _add(topology: Topology, merged: dict[str, Any], name: str) -> None:
    path = f"notifications.receivers.{name}"
    match receiver := topology.spec.notifications.receivers[name]:
        case SlackReceiver() | WebhookReceiver() if receiver.url is None:
            raise OpsError(
                msg("{path}: {kind} has no url", path=path, kind=receiver.kind),
                msg("write url or url_file"),
            )
        case SlackReceiver():
            url_file = _secret(topology, f"{path}.url")
            merged.setdefault("slack_configs", []).append(
                {"api_url_file": url_file, "send_resolved": True, **slack_message()}
            )
        case EmailReceiver():
            if topology.spec.notifications.smtp is None:
                raise OpsError(
                    msg("{path}: e-mail needs a mail server", path=path), msg("add notifications.smtp")
                )
            merged.setdefault("email_configs", []).append(
                {
                    "to": go_template_text(receiver.to),
                    "send_resolved": True,
                    "headers": {"Subject": '{{ template "techsapo.title" . }}'},
                    "html": "",
                    "text": '{{ template "techsapo.text" . }}',
                }
            )
        case WebhookReceiver():
            url_file = _secret(topology, f"{path}.url")
            merged.setdefault("webhook_configs", []).append({"url_file": url_file, "send_resolved": True})
        case RawReceiver():
            for key, configs in receiver.config.items():
                merged.setdefault(key, []).extend(dict(config) for config in configs)


def _pages(topology: Topology) -> Iterator[dict[str, Any]]:
    """Alertmanager's receivers for what wakes people, and for that these can't be reached."""
    notifications = topology.spec.notifications
    yield _receiver(topology, PAGE, notifications.paged)
    if notifications.paged and (other := notifications.other_kind) is not None:
        yield _receiver(topology, PAGE_FAILING, (*notifications.paged, other))


def _report(topology: Topology) -> dict[str, Any]:
    """Alertmanager's receiver for the weekly report, which reaches those of `info` with texts of its own."""
    receiver = _receiver(topology, "info", topology.spec.notifications.info)
    for slack in receiver.get("slack_configs", ()):
        title = '{{ template "techsapo.slack.report.title" . }}'
        text = '{{ template "techsapo.slack.report.text" . }}'
        slack.update(title=title, fallback=title, text=text, title_link="", fields=[])
    for mail in receiver.get("email_configs", ()):
        if "text" in mail:
            mail["headers"] = {"Subject": '{{ template "techsapo.report.title" . }}'}
            mail["text"] = '{{ template "techsapo.report.text" . }}'
    _never_over(receiver)
    return {**receiver, "name": REPORT_RECEIVER}


def _never_over(receiver: dict[str, Any]) -> None:
    for configs in receiver.values():
        for config in configs if isinstance(configs, list) else ():
            config["send_resolved"] = False


def slack_message() -> dict[str, Any]:
    """Title, text and fields of a message in Slack's markup, by names of the notification texts."""
    return {
        "title": _text("slack.title"),
        # Alertmanager's own default leads to its page, which nobody opens from elsewhere.
        "title_link": _text("slack.title_link"),
        "text": _text("slack.text"),
        "fallback": _text("slack.fallback"),
        "color": _text("color"),
        "fields": [
            {"title": _text(f"slack.{name}"), "value": _text(f"slack.{name}.value"), "short": True}
            for name in ("severity", "since", "stack")
        ],
    }


def _text(name: str) -> str:
    return '{{ template "techsapo.' + name + '" . }}'
