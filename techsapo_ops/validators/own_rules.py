"""What promtool says of the rule files of `monitoring.rules`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from techsapo_ops.adapters.process import Runner
from techsapo_ops.messages import msg
from techsapo_ops.services.prometheus.own_rules import FOLDER, OwnRules
from techsapo_ops.spec.findings import Finding
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.validators.check import Staging, check
from techsapo_ops.validators.images import ToolImage


def refused_rules(
    own: OwnRules, runner: Runner, binaries: Mapping[str, str], images: Mapping[str, ToolImage]
) -> Iterator[Finding]:
    """What is wrong with each file, where promtool is among the `binaries` or in one of the `images`."""
    for name, file in own.files.items():
        with tempfile.TemporaryDirectory(prefix="techsapo-check-") as made:
            root = Path(made).resolve()
            path = root / FOLDER / name
            path.parent.mkdir(parents=True)
            path.write_text(file.text, encoding="utf-8")
            rendered = RenderedFile(f"{FOLDER}/{name}", file.text)
            report = check([rendered], Staging(root, root, str(root)), runner, binaries, images)
        for problem in report.problems:
            said = problem.output.partition("FAILED:")[2] or problem.output
            said = " ".join(said.replace(f"{FOLDER}/{name}:", "").split())
            yield Finding(file.field, msg("promtool refuses {path}: {said}", path=file.path, said=said))
