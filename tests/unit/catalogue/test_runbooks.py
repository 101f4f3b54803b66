"""The pages of the alerts, and what of them goes out with an alert."""

from __future__ import annotations

import re

from rows import each_row

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.runbooks import LOCALES, Runbook, runbooks

LONGEST_STEP = 260
"""Characters; two of them are a third of what Slack shows of a message before it folds it."""
PAGES = [(page, locale) for page in runbooks().values() for locale in LOCALES]
every_page = each_row("page, locale", PAGES, ids=[f"{page.name} ({locale})" for page, locale in PAGES])


def test_each_alert_has_its_page() -> None:
    assert set(runbooks()) == set(alerts())


@every_page
def test_a_page_holds_one_language(page: Runbook, locale: str) -> None:
    text = page.text[locale]
    assert text.startswith(f"# {page.name}\n\n## ")
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == 3
    assert bool(re.search(r"[ぁ-ん]", text)) == (locale == "ja")
    assert "#english" not in text


@every_page
def test_a_list_says_in_one_sentence_what_an_alert_means(page: Runbook, locale: str) -> None:
    meaning = page.meaning(locale)
    assert re.fullmatch(r"[^。]+。" if locale == "ja" else r"(?:[^.]|\.(?=\S))+\.", meaning), meaning
    assert all(meaning.count(left) == meaning.count(right) for left, right in ("()", "（）"))


@every_page
def test_the_first_two_steps_of_the_check_stand_alone_in_a_message(page: Runbook, locale: str) -> None:
    steps = page.steps(locale)
    assert len(steps) == 2, "the check is a numbered list of two steps or more"
    for step in steps:
        assert 10 <= len(step) <= LONGEST_STEP, step
        assert "\n" not in step
        assert not re.search(r"\]\(|\*\*|^#|[<>]\w", step), "nothing that is only read as Markdown or HTML"
        assert step.count("`") % 2 == 0
        assert "://" not in re.sub(r"`[^`]*`", "", step), (
            "what is no command is made a link, which opens on the host alone"
        )
    assert not re.search(r"\bsee (above|below)\b|\bstep \d|手順 ?\d", " ".join(steps)), steps


@every_page
def test_the_links_of_a_page_lead_to_pages_that_there_are(page: Runbook, locale: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.text[locale]):
        assert re.fullmatch(r"https://\S+", target) or target.removesuffix(".md") in runbooks(), target
