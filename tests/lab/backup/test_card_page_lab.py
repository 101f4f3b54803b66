"""The recovery card of `techsapo recover card --html` prints on one page, whatever its language."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from browsers import FLAGS
from in_process import techsapo
from rows import each_row

pytestmark = pytest.mark.lab


@each_row("locale", ["ja", "en"])
def test_it_prints_on_one_page(locale: str, tmp_path: Path) -> None:
    offsite = {
        "restic": "sftp:backup@storage.example.com:/techsapo", "password": "s3cret",
        "password_kept": "safe in room 3", "options": {"sftp.args": "-i /root/.ssh/backup"},
    }  # fmt: skip
    spec = {
        "project": "shop", "backup": {"offsite": offsite}, "mysql": {},
        "contacts": ["Kimura +81 3 1234 5678", "Sato +81 3 1234 5679"],
        "certificates": {"site": {"names": [f"{n}.example.com" for n in range(9)], "source": "self-signed"}},
        "nginx": {"enabled": True, "certificate": "site"},
    }  # fmt: skip
    (tmp_path / "techsapo.yaml").write_text(yaml.safe_dump(spec))
    done = techsapo(tmp_path, "recover", "card", "--html", "card.html", "--lang", locale)
    assert done.returncode == 0, done.stderr
    flags = [*FLAGS, "--headless", "--no-pdf-header-footer", "--print-to-pdf=card.pdf", "card.html"]
    subprocess.run(["chromium", *flags], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert len(re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "card.pdf").read_bytes())) == 1
