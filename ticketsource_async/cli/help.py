"""The layout of help: a sentence, an example, the details, and the options in groups. Also hints for wrong use."""

import inspect
from collections.abc import Sequence
from typing import Any, Final

import click

_GROUPS: Final = {
    "What is written": ("format", "output", "excel", "escape_formulas", "limit", "json"),
    "How it runs": ("sandbox", "strict", "quiet", "yes", "no_proxy", "help"),
}
"""The options that many commands have, by heading. All others are under "Options"."""


class Command(click.Command):
    """A command whose help begins with one sentence and an example, since most users look for these."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. If there are too many, say what to do."""
        ctx.allow_extra_args = True  # else click refuses them without a hint
        extra = super().parse_args(ctx, args)
        if extra and not ctx.resilient_parsing:
            is_file = "." in extra[0] and any(option.name == "output" for option in self.params)
            hint = (
                f"To write to this file, use -o {extra[0]}."
                if is_file
                else 'Put a text that has spaces in quotes, such as "Karl Jenkins".'
            )
            raise click.UsageError(f"{extra[0]!r} is one argument too many. {hint}", ctx)
        return extra

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the first paragraph, the example, and then the rest."""
        examples = [self.epilog.removeprefix("Example: ")] if self.epilog else []
        _write_explanation(self.help or "", examples, formatter)

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


class Group(click.Group):
    """A group whose help begins with one sentence and examples. Its commands come before its options."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the name of a command. If one belongs after it, say so."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = "Put options after the command, such as `ticketsource customers export --sandbox`."
            raise click.UsageError(f"No such option {error.option_name!r}. {hint}", ctx) from None

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the first paragraph, the examples, and then the rest."""
        _write_explanation(self.help or "", self._examples, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)


def _write_explanation(text: str, examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write the first paragraph of a text, the examples, and the rest of the text."""
    first, _, rest = inspect.cleandoc(text).partition("\n\n")
    _write_paragraphs(first, formatter)
    if examples:
        with formatter.section("Example" if len(examples) == 1 else "Examples"):
            for example in examples:
                formatter.write(f"  {example}\n")  # in one line, so that it can be copied into any shell
    _write_paragraphs(rest, formatter)


def _write_paragraphs(text: str, formatter: click.HelpFormatter) -> None:
    if text:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)
