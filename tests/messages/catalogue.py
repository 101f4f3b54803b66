"""The catalogue of another language as a translator works with it: one file of gettext for each room."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from techsapo_ops.catalogue.translations import LOCALE
from techsapo_ops.messages import placeholders
from tests.messages.said import ROOT, Said

JAPANESE = LOCALE / "ja"
_HEADER = """\
msgid ""
msgstr ""
"Language: ja\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def read(path: Path) -> Catalog:
    """The catalogue in `path`, of one room; an empty one where there is none yet."""
    if not path.exists():
        return Catalog(locale="ja")
    with path.open("rb") as file:
        return read_po(file, locale="ja", abort_invalid=True)


def rooms() -> dict[str, Catalog]:
    """What is kept, by room."""
    return {path.stem: read(path) for path in sorted(JAPANESE.glob("*.po"))}


def messages(catalogue: Catalog) -> list[Message]:
    """The messages of a catalogue, without its header."""
    return [message for message in catalogue if message.id]


def written(said: Iterable[Said], kept: Mapping[str, Catalog]) -> dict[str, str]:
    """The files of the catalogue by room: what is `said`, with the translations that are `kept`."""
    known = {str(m.id): m for catalogue in kept.values() for m in messages(catalogue) if m.string}
    files = {}
    for room, texts in groupby(said, key=attrgetter("room")):
        wanted = Catalog(locale="ja")
        before = kept.get(room, Catalog(locale="ja"))
        for each in texts:
            wanted.add(each.text, locations=[(each.file, None)])
            if each.text in known and each.text not in before:
                before[each.text] = known[each.text].clone()
        before.update(wanted, update_creation_date=False)
        for message in messages(before):
            message.previous_id = []
        files[room] = _text(before)
    return files


def _text(catalogue: Catalog) -> str:
    """A file without places and kinds of format: a search finds a text, and `unlike` compares its values."""
    for message in messages(catalogue):
        message.flags &= {"fuzzy"}
    file = io.BytesIO()
    write_po(
        file, catalogue, width=0, omit_header=True, ignore_obsolete=True, sort_by_file=True, no_location=True
    )
    return _HEADER + file.getvalue().decode()


def untranslated(catalogue: Catalog) -> list[str]:
    """The texts of a room that nobody has translated, or whose translation is of a former text."""
    return [str(message.id) for message in messages(catalogue) if not message.string or message.fuzzy]


def unlike(said: Iterable[Said], kept: Mapping[str, Catalog]) -> list[str]:
    """Translations whose values are others than those of the text."""
    translated = {
        str(message.id): str(message.string)
        for catalogue in kept.values()
        for message in messages(catalogue)
        if message.string and not message.fuzzy
    }
    return [
        f"{each.room}: {each.text!r} is {translated[each.text]!r}"
        for each in said
        if each.template and each.text in translated and not _same_values(each.text, translated[each.text])
    ]


def _same_values(text: str, translation: str) -> bool:
    try:
        return {name for name, _ in placeholders(text)} == {name for name, _ in placeholders(translation)}
    except ValueError:
        return False


def merge() -> list[Path]:
    """Write the files of the catalogue that git has in conflict with the translations of both sides.

    Where both translated a text, that of the side which is rebased or merged onto stays.
    """
    listed = ["git", "diff", "--name-only", "--diff-filter=U", "--relative", "--", str(JAPANESE)]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        ours, theirs = (_staged(stage, name) for stage in (2, 3))
        for message in messages(theirs):
            if message.id not in ours:
                ours[message.id] = message
            elif not ours[message.id].string:
                ours[message.id].string = message.string
        (ROOT / name).write_text(_text(ours), encoding="utf-8")
    return [Path(name) for name in names]


def _staged(stage: int, name: str) -> Catalog:
    shown = subprocess.run(["git", "show", f":{stage}:{name}"], cwd=ROOT, capture_output=True, check=False)
    return read_po(io.BytesIO(shown.stdout), locale="ja")
