"""Lines of logs as patterns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.incidents.material import Line
from techsapo_ops.incidents.patterns import LONGEST, MOST, mined

T = datetime(2026, 1, 31, 3, 10, tzinfo=UTC)


def texts(*lines: str) -> list[str]:
    """The patterns of lines of one service."""
    return [pattern.text for pattern in mined(Line(T, line, "shop") for line in lines)]


@each_row(
    "line, pattern",
    [
        ("took 35 ms, 4.2 MB", "took <number> ms, <number> MB"),
        ("2026-01-31 03:10:00,123 worker 7 ended 03:10:00", "worker <number> ended <time>"),
        ("connect to 10.0.0.7:6379 failed", "connect to <address> failed"),
        ("peer fe80:0:0:0:1:2:3:4 left", "peer <address> left"),
        ("job 3f9a0c1b22e7 and 6ba7b810-9dad-11d1-80b4-00c04fd430c8", "job <id> and <id>"),
        ("open \"a b.txt\" for 'who?'", "open <quoted> for <quoted>"),
        ("cannot open /var/lib/shop/a.db", "cannot open <path>"),
        ("mail to taro@example.com bounced", "mail to <mail> bounced"),
        ("GET https://shop.example/a?b=c gave nothing", "GET <url> gave nothing"),
        ("upstream answered 502 after 30 s", "upstream answered 502 after <number> s"),
        ("status=503 errno 28", "status=503 errno 28"),
        (
            "在庫「リンゴ」を 30 個から１２個に変更しました",
            "在庫<quoted>を <number> 個から<number>個に変更しました",
        ),
        (
            'n="4" level=ERROR msg="cannot open \\"a b\\" of 3"',
            "cannot open <quoted> of <number>",
        ),
        (
            '{"level": "error", "event": "call 7 failed", "id": "x", "error": "no \\"a\\""}',
            "call <number> failed: no <quoted>",
        ),
        ("閉じない「「「内側」の後", "閉じない「「<quoted>の後"),  # each 「 looks only as far as the next
        ('{"level": "error"', "{<quoted>: <quoted>"),
        ('{"a": 1}', "{<quoted>: <number>}"),
        ("it isn't the user's fault", "it isn't the user's fault"),
        ("", ""),
    ],
)
def test_what_varies_is_taken_out(line: str, pattern: str) -> None:
    assert texts(line) == [pattern]


def test_words_in_which_alike_lines_differ_are_taken_out() -> None:
    lines = [f"user {name} signed in from the office" for name in ("taro", "hanako", "jiro")]
    assert texts(*lines) == ["user <*> signed in from the office"]
    assert len(texts("disk full", "disk gone")) == 2


def test_a_pattern_counts_its_lines_and_keeps_the_first_as_its_sample() -> None:
    lines = [
        Line(T + timedelta(seconds=n), f"request {n} failed", "shop", level="warning") for n in (3, 1, 2)
    ]
    (pattern,) = mined([*lines, Line(T + timedelta(seconds=9), "request 9 failed", "shop", level="error")])
    assert [time - T.timestamp() for time in pattern.times] == [1, 2, 3, 9]
    assert (pattern.sample, pattern.level) == ("request 1 failed", "error")


def test_services_and_hosts_have_patterns_of_their_own() -> None:
    given = [Line(T, "ready", service, host) for service in ("a", "b") for host in ("x", "y")]
    assert len(mined(given)) == 4


def test_services_may_be_read_in_any_order() -> None:
    lines = [Line(T, f"{'abc'[n % 3]} {n} x y z {n % 5}", f"s{n % 7}") for n in range(30)]
    assert mined(lines) == mined(sorted(lines, key=lambda line: line.service))


def test_what_is_beyond_the_most_patterns_is_counted_together() -> None:
    lines = [Line(T, "w" * (n % 300 + 1) + " " + "v" * (n // 300 + 1), "shop") for n in range(MOST + 500)]
    patterns = mined(lines)
    assert len(patterns) == MOST + 1
    assert patterns[-1].text == "…"
    assert sum(len(pattern.times) for pattern in patterns) == MOST + 500


@given(st.text(st.sampled_from("a1:/.-@\"'「」=%f é日"), max_size=2_000))
def test_any_line_is_looked_at_up_to_a_length(line: str) -> None:
    (text,) = texts(line)
    assert len(text) < 10 * LONGEST


def test_long_words_use_up_sooner_what_is_looked_at() -> None:
    """Whoever writes a log could otherwise make an investigation late with few lines."""
    long = [chr(0x4E00 + n) * LONGEST for n in range(1_600)]
    assert texts(*long, "a=1 b=2 c=3 d=4")[-1] == "<any> <any> <any> <any>"
