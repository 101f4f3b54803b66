"""/openapi.json: who has to log in how, and what may be answered."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

from orchestrator import client_of, make_app
from rows import each_row

from techsapo_ops.serve import progress

DOCS = Path(__file__).parents[3] / "docs"
BOTH: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]


def description(directory: Path, **sections: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        async with client_of(make_app(directory, **sections)) as client:
            document: dict[str, Any] = (await client.get("/openapi.json")).json()
            return document

    return asyncio.run(main())


@each_row("required, questions", [(True, BOTH), (False, [*BOTH, {}])])
def test_the_ways_to_send_a_key_are_told_and_where_none_is_needed(
    tmp_path: Path, required: bool, questions: list[Any]
) -> None:
    keys = {"required": required, "keys_file": str(tmp_path / "keys.json")}
    document = description(tmp_path, app={"auth": keys})
    schemes = document["components"]["securitySchemes"]
    assert {(s["type"], s.get("scheme"), s.get("name")) for s in schemes.values()} == {
        ("http", "bearer", None), ("apiKey", None, "X-API-Key"),
    }  # fmt: skip
    told = {p: op.get("security") for p, ops in document["paths"].items() for op in ops.values()}
    assert told["/api/v1/generate"] == told["/v1/chat/completions"] == told["/v1/models"] == questions
    assert told["/metrics"] == told["/api/v1/health"] == told["/api/v1/metrics/stream"] == [*BOTH, {}]
    assert told["/ping"] is told["/health"] is None


def test_every_operation_tells_of_what_the_server_itself_may_answer(tmp_path: Path) -> None:
    for path, operations in description(tmp_path)["paths"].items():
        for operation in operations.values():
            assert {"400", "500"} <= set(operation["responses"]), path


def test_every_event_of_a_stream_is_described_and_stands_in_the_docs_once(tmp_path: Path) -> None:
    """The events are those that the code names, and the last one."""
    code = inspect.getsource(progress)
    events = {*re.findall(r'"event": "([a-z_]+)"', code), *progress._PHASES.values()}
    events |= {"answered", "revised", "verdict", "problem"}
    told = description(tmp_path)["paths"]["/api/v1/generate"]["post"]["description"]
    assert events <= set(re.findall("[a-z_]+", told))
    for page in ("api.md", "api.ja.md"):
        table = re.findall(r"^\| (`[a-z_]+`.*?) \|", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        named = [name for cell in table for name in re.findall("`([a-z_]+)`", cell)]
        assert {name: named.count(name) for name in events} == dict.fromkeys(events, 1), page
