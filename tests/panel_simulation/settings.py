"""The settings that every figure is measured on.

Errors of strong models correlate at .53 (quartiles .50 and .55), and of joint errors .73 are the same wrong
answer: HELM's published answers as computed in arXiv 2506.07962. The two models of RouteLLM's MMLU answers
(Apache-2.0, 14,042 questions) correlate at .43. Nine judges are worth about two votes (arXiv 2605.29800).
"""

from __future__ import annotations

from dataclasses import replace

from panel_simulation.panels import Setting, Voice

A, B, C = Voice("alpha-1", 0.84, "alpha"), Voice("beta-1", 0.8, "beta"), Voice("gamma-1", 0.76, "gamma")
KNOWN = Setting("phi .53", (A, B, C))
LOWER, UPPER = replace(KNOWN, name="phi .50", phi=0.50), replace(KNOWN, name="phi .55", phi=0.55)
STRESS_8, STRESS_9 = replace(KNOWN, name="phi .8", phi=0.8), replace(KNOWN, name="phi .9", phi=0.9)
FRIENDLY = Setting("friendly", (A, B, C), 0.2, 0.25, sight=0.85, partial=0.0, first=0.0)
"""Few errors together, and graders who mostly know the truth: what earlier figures were measured on."""
LAZY = replace(KNOWN, name="one lazy", voices=(A, B, replace(C, lazy=True)))
WRONG = Voice("gamma-1", 0.01, "gamma", stubborn=True)
STUBBORN = replace(KNOWN, name="one always wrong", voices=(A, B, WRONG))
"""One of three is always wrong."""
TWO_LEFT = replace(KNOWN, name="the two alone", voices=(A, B))
KINDRED = replace(KNOWN, name="two of a family", voices=(A, replace(B, family="alpha"), C))
REPLACED = replace(KNOWN, name="phi .53, one replaced", voices=(A, B, Voice("gamma-2", 0.82, "gamma")))
"""KNOWN, after a new model took the place of one."""
DRIFTED = replace(KNOWN, name="phi .53, one drifted", voices=(A, B, replace(C, accuracy=0.55)))
"""KNOWN, after a model got worse under the same name."""
FOUR = replace(KNOWN, name="phi .53, four", voices=(A, B, C, Voice("delta-1", 0.78, "delta")))
NINE = Setting("nine judges", tuple(Voice(f"judge-{n}", 0.8) for n in range(9)))
BOTH, FIRST_ALONE, SECOND_ALONE, NEITHER = 8818, 742, 2497, 1985
"""Questions that Mixtral-8x7B and GPT-4 answered right: both, one alone, neither."""
MEASURED = Setting(
    "measured pair",
    tuple(
        Voice(name, (BOTH + alone) / (BOTH + FIRST_ALONE + SECOND_ALONE + NEITHER), name)
        for name, alone in (("mixtral", FIRST_ALONE), ("gpt", SECOND_ALONE))
    ),
    phi=0.43,
)
USUAL = (FRIENDLY, KNOWN, STRESS_8, STRESS_9)
ALL = (*USUAL, LOWER, UPPER, LAZY, STUBBORN, KINDRED, DRIFTED, FOUR, MEASURED)
