"""The templates of the generated files: ours, and the operator's overrides before them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.template_folders import builtin_names, template_root

if TYPE_CHECKING:
    import jinja2

    from techsapo_ops.render.sandbox import Sandbox


class Templates:
    """Renders templates by name, such as `nginx/nginx.conf.j2`.

    A file of the same name below `override` takes the place of ours; ours stays
    reachable as `builtin/NAME`, so that an override may extend it and change one block. All run in a sandbox:
    whoever may write a template decides what is in a file, not what root does. `recorded` are those of an
    earlier time, by name, in place of the folders'. `unusable` is why the operator's can't be used: it is
    raised where something is rendered, as what is in them would be left out.
    """

    def __init__(
        self,
        override: Path | None = None,
        recorded: Mapping[str, str] | None = None,
        *,
        unusable: OpsError | None = None,
    ) -> None:
        self._unusable = unusable
        self._override = override
        self._recorded = recorded
        self._rendered: dict[str, list[tuple[dict[str, Any], str]]] = {}

    @cached_property
    def _environment(self) -> Sandbox:
        from techsapo_ops.render.sandbox import Sandbox  # Jinja, which no command needs that only looks

        return Sandbox(self._override if self._recorded is None else None, self._recorded)

    def overridden(self, name: str) -> bool:
        """Whether an operator's folder has a template of this name."""
        return self._override is not None and (self._override / name).is_file()

    def overrides(self) -> dict[str, str]:
        """Text of each template of the operator's own, by name.

        Raises OpsError for one that can't be read.
        """
        self._require_usable()
        if self._override is None:
            return {}
        files = (path for path in self._override.rglob("*.j2") if path.is_file())
        names = sorted(path.relative_to(self._override).as_posix() for path in files)
        return {name: self.source(name) for name in names}

    def source(self, name: str) -> str:
        """Text of the template `name`, the operator's where there is one.

        Raises OpsError where there is none or it can't be read.
        """
        import jinja2

        try:
            return self._environment.text(name)
        except jinja2.TemplateNotFound as error:
            raise self._missing(error) from None
        except (OSError, UnicodeDecodeError) as error:
            raise OpsError(msg("cannot read template {name}: {error}", name=name, error=error)) from None

    def render(self, name: str, **values: Any) -> str:
        """Render `name`; every value that the template names must be given.

        Raises OpsError with file and line of what is wrong in a template.
        """
        self._require_usable()
        import jinja2
        from jinja2.exceptions import SecurityError

        # Each stack of one host is laid out for both engines, and much of it alike.
        rendered = self._rendered.setdefault(name, [])
        if (text := next((text for given, text in rendered if given == values), None)) is not None:
            return text
        try:
            text = self._environment.get_template(name).render(values)
        except jinja2.TemplateNotFound as error:
            raise self._missing(error) from None
        except jinja2.TemplateSyntaxError as error:
            where = f"{error.filename or error.name or name}:{error.lineno}"
            raise OpsError(
                msg("template {where}: {message}", where=where, message=error.message), self._hint(name)
            ) from None
        except SecurityError as error:
            raise OpsError(
                msg(
                    "template {where}: not allowed in a template: {error}",
                    where=self._where(error, name),
                    error=error,
                ),
                msg("templates can read only the values passed to them; anything else belongs in the spec"),
            ) from None
        except (
            jinja2.TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise OpsError(
                msg("template {where}: {error}", where=self._where(error, name), error=error),
                self._hint(name),
            ) from error
        rendered.append((values, text))
        return text

    def _require_usable(self) -> None:
        if self._unusable is not None:
            raise self._unusable

    def _missing(self, error: jinja2.TemplateNotFound) -> OpsError:
        known = ", ".join(n for n in builtin_names() if Path(n).name == Path(str(error.name)).name)
        return OpsError(
            msg("there is no template {error}", error=error.name),
            msg("did you mean {known}?", known=known)
            if known
            else msg("`techsapo config templates list` shows all templates"),
        )

    def _where(self, error: Exception, name: str) -> str:
        """`file:line` of the innermost template frame of a traceback (Jinja2 maps frames to templates)."""
        roots = tuple(map(str, filter(None, (template_root(), self._override))))
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(roots)]
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name

    def _hint(self, name: str) -> str:
        if not self.overridden(name):
            return ""
        return msg(
            "`techsapo config templates diff {name}` compares your template with the built-in one", name=name
        )
