"""`make sbom` lists what the lock installs, with its hashes, and nothing of the machine it was made on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+) \\$", re.MULTILINE)


def test_the_list_of_parts_is_that_of_the_lock_the_same_each_time_and_without_this_machine(
    tmp_path: Path,
) -> None:
    made = []
    for name in ("a.json", "b.json"):
        subprocess.run(["make", "--silent", "sbom", f"SBOM={tmp_path / name}"], check=True, cwd=REPOSITORY)
        made.append((tmp_path / name).read_text())
    assert made[0] == made[1]
    assert str(REPOSITORY) not in made[0]
    document = json.loads(made[0])
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "techsapo-ops")
    parts = {part["name"]: part for part in document["components"]}
    locked = dict(LOCKED.findall((REPOSITORY / "requirements.lock").read_text()))
    assert {name: part["version"] for name, part in parts.items()} == locked
    for name, part in parts.items():
        assert part["purl"] == f"pkg:pypi/{name}@{locked[name]}"
        assert all(r["hashes"] for r in part["externalReferences"] if r["type"] == "distribution")
