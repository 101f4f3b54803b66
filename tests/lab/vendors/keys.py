"""What the vendors say to a key that they do not know, or to none, by tests/cases/vendors/keys.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml
from vendors.refusals import Refused, claude_refusal, gemini_refusal, openai_refusal, openrouter_refusal

_KEYS = read_yaml((Path(__file__).parents[2] / "cases/vendors/keys.yaml").read_text(encoding="utf-8"))


def openai(key: str) -> Refused:
    told = _told("openai", key)
    return openai_refusal(told["status"], told["message"].format(key=key), None, told["code"])


def openrouter(key: str) -> Refused:
    told = _told("openrouter", key)
    return openrouter_refusal(told["status"], told["message"])


def anthropic(key: str) -> Refused:
    told = _told("anthropic", key)
    return claude_refusal(told["status"], told["kind"], told["message"])


def google(key: str) -> Refused:
    told = _told("google", key)
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": told.get("reason")}
    return gemini_refusal(told["status"], told["word"], told["message"], *([info] if key else []))


def _told(vendor: str, key: str) -> dict[str, Any]:
    return dict(_KEYS[vendor]["unknown" if key else "none"])
