"""Which language an answer is in: the one that is asked for, else by the stack's rule."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.spec.models.app import LanguageRule
from techsapo_ops.wallbounce.language import Language, language_asked_for, language_of


@dataclass(frozen=True, slots=True)
class AnswerLanguage:
    """The rule of a stack whose own language is `locale`."""

    rule: LanguageRule
    locale: Language

    def of(self, wanted: Language | None, words: str, sent: str) -> Language:
        """The language that a request names, or that the asker's own `words` clearly ask for.

        Else by the rule, for which `sent` is all the text that came. A log is never the asker's words.
        """
        asked_for = wanted or language_asked_for(words)
        if asked_for is not None:
            return asked_for
        match self.rule:
            case "locale":
                return self.locale
            case "auto":
                return language_of(sent)
            case fixed:
                return fixed
