"""What an instance is started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.masking import MaskLevel
from techsapo_ops.spec.front_door import resolved_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.wallbounce.verdict.calibration import Calibration


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What the pages show of the stack's spec."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By alert."""
    exposures: Sequence[Mapping[str, str | None]] = ()
    """What others may reach, by rule, and the reason where that is meant."""
    unreached: Sequence[str] = ()
    """Which lists of `notifications` have no receiver."""
    incidents: str = ""
    """Where messages lead to incidents; empty where nobody elsewhere could open it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one instance is started with: the spec, and what only its surroundings know."""

    spec: Spec
    instance: str
    """Its name in the stack, e.g. app-1."""
    data: Path
    """The instance's own folder."""
    disabled: Mapping[str, str] = field(default_factory=dict)
    """The providers that the spec's loader left out, and why."""
    calibration: Calibration | None = None
    """Fitted weights of the confidence."""
    auth: Auth | None = None
    """Who may ask, in place of the spec's own section."""
    app_key: bytes | None = field(default=None, repr=False)
    """The key that all instances of the stack share, and no other service has; None: each has its own."""
    shared_ca: Path | None = None
    """The CA certificate of what the instances share, where that speaks TLS."""
    sentinels: tuple[Address, ...] = ()
    """Who knows which of several Redis is the master, the nearest first; none where there is one."""
    audit_members: tuple[Address, ...] = ()
    """The further members of the cluster that the audit database is."""
    prometheus: str | Sequence[str] | None = None
    """Where the stack's Prometheus answers, for the pages; of several, the first that does."""
    prometheus_login: BasicLogin | None = None
    """What it is asked with."""
    alertmanager: str | Sequence[str] | None = None
    """Where its Alertmanager answers, which keeps who has an alert; likewise."""
    alertmanager_login: BasicLogin | None = None
    """What it is asked with."""
    acknowledge_key: Path | None = None
    """The file with the key of the links by which alerts are acknowledged."""
    reference: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    """What makes the Markdown of the pages under /help that are made from the code, by path below docs/."""
    mask: MaskLevel = "off"
    """What is masked in questions before they leave for the vendors."""
    page_facts: Callable[[], PageFacts] = PageFacts
    """As they are now."""
    knowledge: Path | None = None
    """The index of the team's own knowledge, where the spec names some."""
    maintenance: Path | None = None
    """The folder that says whether maintenance goes on; None by hand."""
    alerts_key: Path | None = None
    """The file with the key by which the stack's Alertmanager tells of alerts."""
    budget_note: Path | None = None
    """The file that says what budgets can't be rebuilt from, and resets; None by hand."""
    evidence: Path | None = None
    """The file with what the app can't see of its stack (`material_of`), which the job `evidence` writes;
    None by hand, and it is there only while alerts are investigated."""

    def resolved_auth(self) -> Auth:
        """Who may ask."""
        return self.auth or resolved_auth(self.spec, None)

    def keys_file(self) -> Path:
        """The file of API keys where `auth` names none."""
        return self.data.parent / "api-keys.json"
