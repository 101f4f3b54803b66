"""What hostile Markdown may make of an answer's HTML, as a browser's parser would read it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from instances import URL, send
from orchestrator import make_app
from rows import each_row
from typing_extensions import override

from techsapo_ops.serve.pages.markup import LONGEST, html_of

PLAIN = "p br hr strong em s code pre blockquote ul li h3 h4 h5 h6 table thead tbody tr th td"
ALLOWED: dict[str, set[str]] = {tag: set() for tag in PLAIN.split()}
ALLOWED |= {"a": {"href", "rel", "target"}, "ol": {"start"}}


class Reader(HTMLParser):
    """The tags, links and text of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        assert {name for name, _ in attrs} <= ALLOWED[tag], attrs
        self.links += [str(value) for name, value in attrs if name == "href"]

    @override
    def handle_data(self, data: str) -> None:
        self.words += data


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://elsewhere.example/pixel.png)",
    "![x][y]\n\n[y]: https://elsewhere.example/pixel.png",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](&#x6A;avascript&colon;alert(1))",
    "[x](\u0001javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x](vbscript:msgbox)",
    "[x](file:///etc/passwd)",
    "[x](/alerts/AppDown/acknowledge)",
    "[x](//elsewhere.example)",
    "[x](\\\\elsewhere.example)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    '[x](https://a.example "\\" onmouseover=\\"alert(1)")',
    "[x](https://a.example/%22onmouseover=alert(1))",
    "`<script>`\n\n```<script>alert(1)\n</pre><script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "<svg/onload=alert(1)>\n<math><mi//xlink:href='data:x,<script>'>",
    "| <img src=x> | [x](javascript:1) |\n|:-:|-|\n| <b onclick=1>x</b> | ![](x) |",
    "<a href='javascript:alert(1)'>x</a>\n<style>*{display:none}</style>\n<form action=//e><input>",
    "</div></main><iframe src=//elsewhere.example></iframe>",
    "<!-- --><meta http-equiv=refresh content=0;url=//elsewhere.example>",
    "[a]: javascript:alert(1)\n\n[a]",
    "# <script>\n## [x](javascript:1)\n###### six\n",
]


@each_row("text", HOSTILE)
def test_nothing_acts_or_fetches(text: str) -> None:
    read = Reader(html_of(text))
    elsewhere = {link for link in read.links if not link.startswith("https://a.example")}
    assert elsewhere <= {"https://elsewhere.example/pixel.png"}
    assert "<img" not in html_of(text)


def test_what_it_says_stays_readable() -> None:
    assert "alert(1)" in Reader(html_of("<script>alert(1)</script>")).words
    assert Reader(html_of("a < b && c > d")).words.strip() == "a < b && c > d"
    assert "javascript:alert(1)" in Reader(html_of("[x](javascript:alert(1))")).words
    deep = html_of("- " * 60 + "the end")
    assert "the end" in deep


def test_a_link_says_where_it_leads_and_is_told_nothing() -> None:
    made = html_of("[https://bank.example](https://evil.example/login) and <https://docs.example/x>")
    assert Reader(made).words.strip() == "https://bank.example (evil.example) and https://docs.example/x"
    assert made.count('rel="noopener noreferrer nofollow"') == 2


@each_row(
    "words, host",
    [
        ("paypal.example", "pal.example"), ("bank.example/evil.example", "evil.example"),
        ("evil.example.bank.example", "evil.example"), ("evil.example@bank.example", "evil.example"),
        ("see evil.example", "evil.example"), ("a", "a.example"),
    ],
)  # fmt: skip
def test_a_host_that_stands_somewhere_in_the_words_is_named_all_the_same(words: str, host: str) -> None:
    assert Reader(html_of(f"[{words}](http://{host}/x)")).words.strip() == f"{words} ({host})"


@each_row("words", ["a.example", "http://a.example/x", "A.example:80/x", "a.example and more"])
def test_words_that_are_the_address_are_not_followed_by_it(words: str) -> None:
    assert Reader(html_of(f"[{words}](http://a.example/x)")).words.strip() == words


@each_row("sign", "\u202e\u2066\u200f\u200b\ufeff\U000e0041")
@each_row("written", ["{}", "&#{number};", "&#x{number:x};"])
def test_signs_that_are_not_what_is_read_are_left_out(sign: str, written: str) -> None:
    made = html_of(f"rm {written.format(sign, number=ord(sign))}/pmt/ fr-\n\n    rm {sign}/pmt/ fr-\n")
    assert sign not in made
    assert made.count("rm /pmt/") == 2


MANY_CELLS = [
    "|x" * 3000 + "|\n" + "|-" * 3000 + "|\n" + "|a|\n" * 1500,
    ("|a" * 60 + "|\n" + "|-" * 60 + "|\n" + "a\n" * 100 + "\n") * 40,
    "".join(f"> {line}\n" for line in ("|a" * 500, "|-" * 500, *["b"] * 800)),
    "- |a" + "|a" * 500 + "\n  |-" + "|-" * 500 + "\n" + "  b\n" * 2000,
]


@each_row("text", MANY_CELLS)
def test_tables_do_not_grow_a_text_a_hundredfold(text: str) -> None:
    text = text[:LONGEST]
    made = html_of(text)
    assert len(made) < 2 * LONGEST
    assert "|-|-|" in made


def test_a_table_as_models_write_it_is_one() -> None:
    long = "|command|what it does|\n|---|:-:|\n" + "|`ls`|lists|\n" * 300
    assert html_of(f"first\n\n{long}\nlast\n").count("<tr>") == 301


TOO_LONG = ["x" * 200_000, "[" * 200_000, "[" * LONGEST, "<![CDATA[" * 2200, "> " * LONGEST]


@each_row("text", [*TOO_LONG, ("a " * 99 + "\n") * 5000])
def test_a_text_too_long_to_be_read_is_one_paragraph(text: str) -> None:
    made = html_of(text)
    assert made.startswith("<p>")
    assert Reader(made).words.strip() == text.strip()


def test_markdown_is_what_models_write() -> None:
    text = "# Top\n\nfirst\nsecond\n\n1. `df -h`\n\n```sh\nsudo x\n```\n\n|a|b|\n|-|-|\n|1|~~2~~|\n"
    parts = ("<h4>Top</h4>", "first<br>", "<ol>", "<pre><code>sudo x\n</code></pre>", "<td><s>2</s></td>")
    assert [part for part in parts if part not in html_of(text, 4)] == []


def test_the_api_gives_html_where_it_is_asked_for_by_true_and_only_there(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    queries = ("", "?html=true", "", "?html=1")
    body = {"json": {"prompt": "disk full"}}
    *answers, odd = send(app, *(("POST", f"{URL}{query}", body) for query in queries))
    plain, marked, after = (answer.json() for answer in answers)
    assert marked["answer_html"].startswith("<p>")
    assert all(p["answer_html"].startswith("<p>") for p in marked["providers"])
    for each in (plain, after):
        assert "answer_html" not in each
        assert all("answer_html" not in p for p in each["providers"])
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_request")
