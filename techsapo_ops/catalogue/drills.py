"""The words of a drill's report, of drills.yaml."""

from __future__ import annotations

from techsapo_ops.catalogue.page_words import Words, words_in

_FILE = "drills.yaml"
_TIME = "_seconds"
"""How the name of a count ends that is a time, as of a backup's source."""


def is_time(name: str) -> bool:
    """Whether the count of that name is a time, in seconds, as its words say."""
    return DrillWords("en")(name).endswith("(s)")


class DrillWords:
    """The words in one language, `ja` or `en`."""

    def __init__(self, locale: str) -> None:
        self._words = Words(locale, _FILE)

    def __call__(self, name: str, /, **values: object) -> str:
        """The words of `name`, filled in; of what has none, its own name, as of a backup's source."""
        if name in words_in(_FILE):
            return self._words(name, **values)
        if name.endswith(_TIME):
            return self._words("seconds_of", what=self(name.removesuffix(_TIME)))
        return name
