"""/openapi.json: who has to log in how, and what may be answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from orchestrator import client_of, make_app
from rows import each_row

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
