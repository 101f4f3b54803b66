"""What questions, answers and grades are made of: the tests' own cases, drawn by a seed."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml
from tests.bench.texts import USUAL, log

_CASES = Path(__file__).parents[2] / "cases"
_ROOTS = (
    "ディスクの空き容量が尽きた", "接続プールが上限に達した", "証明書の有効期限が切れた", "DNS の応答が遅い",
    "the listen queue of nginx is full", "memory ran out and the kernel killed mysqld",
    "replication stopped at a duplicate key", "a full-width ｓｐａｃｅ in the configuration",
)  # fmt: skip
_SENTENCES = (
    "エラーの時刻と設定変更の時刻を突き合わせてください。", "まず空き容量を確認し、古いログを移します。",
    "この警告は**直接の原因ではありません**。", "The journal shows when the service restarted; compare it.",
    "- check the queue\n- raise the limit\n", "詳しくは[手順](https://wiki.example.com/a?b=1&c=<2>)を見てください。",
    "`max_connections` を 500 に上げます。", "> 引用: connection refused\n", "\n\n## 対処\n\n",
    "1. 停止 2. 確認 3. 起動\n",
    "確度は高い😀 <b>注意</b> &amp; \u200b見えない文字。", "設定は key=value の形で書きます。",
)  # fmt: skip


@cache
def commands() -> tuple[str, ...]:
    """Commands of every danger and of none."""
    files = ("commands.yaml", "commands_heldout.yaml", "commands_heldout_2.yaml")
    return tuple(row["command"] for name in files for row in _read(name))


@cache
def secrets() -> tuple[str, ...]:
    """Lines, most of which hold something secret or personal."""
    tuned, fresh = (_read(name) for name in ("masking.yaml", "masking_fresh.yaml"))
    rows = [row for table in (tuned, fresh) for row in table["secrets"]]
    for name in ("masking_heldout.yaml", "masking_heldout_2.yaml", "masking_heldout_3.yaml"):
        rows += _read(name)
    return tuple(row["line"] for row in rows)


@cache
def injections() -> tuple[str, ...]:
    """Texts that try to steer a model."""
    return tuple(row["text"] for row in _read("injections.yaml"))


@cache
def _read(name: str) -> Any:
    return read_yaml((_CASES / name).read_text(encoding="utf-8"))


def question(draw: random.Random) -> str:
    """What somebody asks, or pastes: up to 19,000 characters."""
    sort = draw.random()
    if sort < 0.35:
        return draw.choice(_SENTENCES) + draw.choice(_ROOTS)
    if sort < 0.65:
        return "\n".join(draw.choice(secrets()) for _ in range(draw.randint(1, 40)))[:18_000]
    if sort < 0.75:
        return f"{log(draw.randint(100, 2_000))}\n{draw.choice(injections())}"
    return log(draw.randint(500, 19_000), USUAL, first=draw.randint(0, 10**6))


def answer(draw: random.Random, topic: int) -> dict[str, Any]:
    """A model's answer, which mostly holds the cause of `topic` for the right one."""
    root = _ROOTS[topic % len(_ROOTS)] if draw.random() < 0.7 else draw.choice(_ROOTS)
    listed = [draw.choice(commands()) for _ in range(draw.choice((0, 1, 2, 4, 10)))]
    size = draw.choice((1, 5, 60, 60, 300))
    told = [root, *(draw.choice(_SENTENCES) for _ in range(size))]
    if draw.random() < 0.15:
        told.append(draw.choice(secrets()))
    if draw.random() < 0.08:
        told.append(draw.choice(injections()))
    if draw.random() < 0.6:
        told.append("\n```sh\n" + "\n".join(listed) + "\n```\n")
    draw.shuffle(told)
    return {
        "answer": "".join(told),
        "root_cause": root,
        "claims": [f"{root}（{n}）" if n else root for n in range(draw.randint(0, 8))],
        "commands": [*listed, draw.choice(commands())] if draw.random() < 0.3 else listed,
        "risk": draw.choice(("reversible", "reversible", "destructive")),
        "self_conf": round(draw.random(), 3),
    }


def grades(draw: random.Random, peers: list[dict[str, Any]]) -> str:
    """Grades of peers as a grading shows them; some are left out, wrong, or of a peer that there is not."""

    def score() -> dict[str, Any]:
        return {"evidence": draw.choice(_SENTENCES), "score": draw.choice((0, 1, 2, 3, 3, 4, 4, 4))}

    def claim(shown: dict[str, Any]) -> dict[str, Any]:
        stance = draw.choices(("entails", "contradicts", "silent"), (75, 12, 13))[0]
        return {"id": shown["id"], "evidence": draw.choice(_SENTENCES), "stance": stance}

    given = [
        {
            "label": peer["label"] if draw.random() < 0.98 else "Z",
            "claims": [claim(one) for one in peer["claims"] if draw.random() < 0.99],
            "correctness": score(),
            "safety": score(),
            "completeness": score(),
        }
        for peer in peers
        if draw.random() < 0.98
    ]
    return json.dumps({"grades": given}, ensure_ascii=False)
