"""The layout of the help of a command: a sentence, an example, the details, and the options in groups."""

import inspect
from typing import Final

import click

_GROUPS: Final = {
    "What is written": ("format", "output", "excel", "escape_formulas", "limit", "json"),
    "How it runs": ("sandbox", "strict", "quiet", "yes", "no_proxy", "help"),
}
"""The options that many commands have, by heading. All others are under "Options"."""


class Command(click.Command):
    """A command whose help begins with one sentence and an example, since most users look for these."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the first paragraph, the example, and then the rest."""
        first, _, rest = inspect.cleandoc(self.help or "").partition("\n\n")
        self._write_paragraphs(first, formatter)
        if self.epilog:
            with formatter.section("Example"):
                formatter.write(_example(self.epilog.removeprefix("Example: "), formatter))
        self._write_paragraphs(rest, formatter)

    def _write_paragraphs(self, text: str, formatter: click.HelpFormatter) -> None:
        if text:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of this command only, then those that many commands have."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": [], **{heading: [] for heading in _GROUPS}}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None:
                name = "help" if option is self.get_help_option(ctx) else option.name
                of = next((heading for heading, names in _GROUPS.items() if name in names), "Options")
                groups[of].append(record)
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: the example is further up."""


def _example(text: str, formatter: click.HelpFormatter) -> str:
    """Return an example. A line that is too long is broken before an option, in the form that a shell accepts."""
    indent = " " * formatter.current_indent
    lines = [indent]
    for number, part in enumerate(text.split(" -")):
        word = part if number == 0 else f" -{part}"
        if number and len(lines[-1]) + len(word) > formatter.width - 2:
            lines[-1] += " \\"
            lines.append(f"{indent}   ")
        lines[-1] += word
    return "\n".join(lines) + "\n"
