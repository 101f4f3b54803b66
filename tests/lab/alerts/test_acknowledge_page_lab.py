"""From the link in a message to who has the alert: real servers, the app, a browser, a stand-in of Slack."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import servers
from alert_lab import receiving
from browsers import browser, violations
from fakes.notified import notified
from monitoring_stack import monitoring_files, spec_of, topology_of, write
from next_lab import AFTER, Scraped, monitoring
from orchestrator import serving
from slack import incoming_webhook

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue import alerts as catalogue
from techsapo_ops.render.stack import secret_files
from techsapo_ops.services.alertmanager.acknowledging import acknowledgements
from techsapo_ops.services.alertmanager.runtime import make_signatures
from techsapo_ops.services.alertmanager.signing import key_file, signature
from techsapo_ops.stack.layout import Layout

pytestmark = pytest.mark.lab


def silenced_next(port: int) -> list[list[str]]:
    """What is to be told to the next receivers, each by the silences that keep it from them."""
    found = httpx.get(
        f"http://127.0.0.1:{port}/api/v2/alerts", params={"filter": 'next=~".+"'}, trust_env=False, timeout=60
    ).json()
    return [alert["status"]["silencedBy"] for alert in found]


@pytest.fixture
def paging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets ProviderDown page, which has a label and fires by one metric: the next receivers hear of pages."""
    known = catalogue._loaded()
    changed = tuple(replace(each, page=each.page or each.name == "ProviderDown") for each in known)
    monkeypatch.setattr(catalogue, "_loaded", lambda: changed)
    catalogue.alerts.cache_clear()
    yield
    monkeypatch.undo()
    catalogue.alerts.cache_clear()


@pytest.mark.nightly
@pytest.mark.usefixtures("paging")
def test_the_link_of_a_message_acknowledges_its_alert_once_its_form_is_sent(tmp_path: Path, axe: str) -> None:
    port = {name: servers.free_port() for name in ("app", "prometheus", "alertmanager")}
    failing = Scraped(metrics='techsapo_provider_consecutive_failures{provider="claude"} 0\n')
    with ExitStack() as stack:
        told = stack.enter_context(receiving())
        channel = stack.enter_context(incoming_webhook())
        stack.enter_context(failing.running())
        url = f"http://127.0.0.1:{port['app']}"
        watching = monitoring(port, repeat_interval="5s")
        app = {"instances": [{"port": port["app"]}, {"port": failing.port}], "public_url": url}
        spec = spec_of({
            "project": "t", "engine": "native", "locale": "en", "redis": {"enabled": False}, "app": app,
            "nginx": {"enabled": False}, "monitoring": watching,
            "notifications": notified({
                "critical": [{"kind": "slack", "url": channel.url}],
                "next": [
                    {"after": f"{2 * AFTER}s", "receivers": [{"kind": "webhook", "url": told.url("next")}]}
                ],
            }),
        })  # fmt: skip
        files, topology = monitoring_files(spec, tmp_path), topology_of(spec, tmp_path)
        write(files.values(), tmp_path)
        write(secret_files(topology), tmp_path)
        make_signatures(topology)
        state = Layout(tmp_path / "app" / ".techsapo", tmp_path / "generated")
        state.keys.mkdir(parents=True)
        key_file(state).write_bytes(key_file(topology.layout).read_bytes())
        stack.enter_context(
            serving(
                tmp_path / "app", instance="app-1", port=port["app"], project="t", locale="en",
                app={"public_url": url}, monitoring=watching,
            )
        )  # fmt: skip
        config = {kind: files[f"{kind}/{kind}.yml"].content for kind in ("alertmanager", "prometheus")}
        stack.enter_context(
            servers.alertmanager(config["alertmanager"], tmp_path / "alertmanager", port=port["alertmanager"])
        )
        # A text that changed, such as the name of who has it, reaches Alertmanager with the next time that
        # Prometheus tells it of the alert, a minute later by default.
        stack.enter_context(
            servers.prometheus(
                config["prometheus"], tmp_path / "prometheus", port=port["prometheus"],
                flags=["--rules.alert.resend-delay=2s"],
            )
        )  # fmt: skip
        prometheus = Prometheus(f"http://127.0.0.1:{port['prometheus']}")
        alertmanager = Alertmanager(f"http://127.0.0.1:{port['alertmanager']}")
        servers.wait_for(
            lambda: len([s for s in prometheus.query('up{job="techsapo-app"}') if s.value]) == 2,
            timeout=60, what="both instances scraped",
        )  # fmt: skip
        open_window = stack.enter_context(browser())
        # First, for the next receivers do not wait for it.
        opened = open_window(360, 800, java_script_enabled=False)
        failing.metrics = 'techsapo_provider_consecutive_failures{provider="claude"} 3\n'
        servers.wait_for(
            lambda: any("Acknowledge this alert" in m.text for m in channel.messages),
            what="a message with a link",
        )
        servers.wait_for(lambda: bool(prometheus.query("techsapo:alert:episode")), what="an episode")
        (link,) = {url for m in channel.messages for url, _ in m.links if "/acknowledge" in url}
        assert link.startswith(f"{url}/alerts/ProviderDown/acknowledge?signature=")

        # What previews do.
        assert httpx.get(link, trust_env=False, timeout=60).status_code == 200
        assert acknowledgements(alertmanager) == ()
        forged = httpx.get(link.replace("ProviderDown", "AppDown"), trust_env=False, timeout=60)
        assert forged.status_code == 403

        page = opened.page
        page.goto(link)
        form = page.locator("article:visible form")
        assert "provider=claude" in form.inner_text()
        form.locator("[name=by]").focus()
        page.keyboard.type("hanako")  # by the keyboard, and without a script
        for _ in ("hours", "comment"):
            page.keyboard.press("Tab")
        page.keyboard.type("asking the vendor")
        page.keyboard.press("Enter")
        page.get_by_text("hanako (unverified) has acknowledged ProviderDown (provider=claude)").wait_for()
        opened.assert_clean()
        acknowledged = time.monotonic()
        (held,) = acknowledgements(alertmanager)
        assert (held.by, held.comment) == ("hanako (unverified)", "asking the vendor")

        (shown,) = [a for a in httpx.get(f"{url}/api/v1/status", trust_env=False, timeout=60).json()["alerts"]
                    if a["name"] == "ProviderDown"]  # fmt: skip
        assert (shown["acknowledged"]["by"], shown["acknowledged"]["comment"]) == (
            "hanako (unverified)",
            "asking the vendor",
        )
        # The next message names who has it, and no longer asks for somebody.
        servers.wait_for(
            lambda: "Acknowledged by: hanako (unverified)" in channel.messages[-1].text,
            timeout=60,
            what="a message with the name",
        )
        assert "Acknowledge this alert" in channel.messages[-1].text  # to take it over
        servers.wait_for(
            lambda: silenced_next(port["alertmanager"]) == [[held.id]], what="the next receivers' turn"
        )
        assert [n for n in told.notes if n.at > acknowledged] == []

        found = []
        for language, scheme in (("ja", "light"), ("en", "dark")):
            look = open_window(360, 740, color_scheme=scheme)
            look.page.goto(f"{link}&lang={language}")
            look.page.wait_for_selector("nav a:not(:empty)")
            assert look.page.locator("article:visible form").count() == 1
            found += violations(look.page, axe)
            assert look.page.evaluate("document.documentElement.scrollWidth") <= 360
            look.assert_clean()
        assert found == []

        # One that began before: the key is right, and the alert of that link is over.
        key = key_file(state).read_bytes().strip()
        began = int(link.partition("signature=")[2].partition(".")[0])
        before = (
            link.partition("signature=")[0] + f"signature={signature(key, 't', 'ProviderDown', began - 900)}"
        )
        expired = httpx.get(before, trust_env=False, timeout=60)
        assert (expired.status_code, "This link has expired" in expired.text) == (410, True)
        failing.metrics = 'techsapo_provider_consecutive_failures{provider="claude"} 0\n'
        servers.wait_for(
            lambda: "ProviderDown does not fire now" in httpx.get(link, trust_env=False, timeout=60).text,
            timeout=60, what="the end of the alert, and of its link",
        )  # fmt: skip

        key_file(state).unlink()
        assert httpx.get(link, trust_env=False, timeout=60).status_code == 403
