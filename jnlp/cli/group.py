"""The group `jnlp`: lists names and summaries from the registry and builds commands on demand."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from jnlp.cli.errors import CliError, CliUsageError, InterruptedRun
from jnlp.cli.suggesting import SuggestingGroup
from jnlp.errors import BrokenPluginError, JnlpError, UsageError
from jnlp.plugin_traceback import depth, own_line, own_traceback
from jnlp.registry import Kind, Registration, import_target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jnlp.plugins import Plugins

SECTIONS = ((Kind.TASK, "Tasks (texts in, results out)"), (Kind.COMMAND, "Commands"))


class RegistryGroup(SuggestingGroup):
    """A group whose commands are the registry's tasks and commands.

    Args:
        plugins: What is registered.
    """

    def __init__(self, plugins: Plugins, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.plugins = plugins

    def entries(self) -> Iterable[Registration]:
        """Return the registrations that are commands."""
        for kind, _ in SECTIONS:
            yield from self.plugins.registry.entries(kind)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, without loading any."""
        return sorted(entry.name for entry in self.entries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build one command."""
        registry = self.plugins.registry
        if registry.find(Kind.TASK, cmd_name) is not None:
            spec = registry.get(Kind.TASK, cmd_name)
            own: click.Command | None = import_target(spec.command) if spec.command else None
            if own is not None:
                return own
            from jnlp.cli.task import task_command

            return task_command(spec)
        if registry.find(Kind.COMMAND, cmd_name) is None:
            return None
        command: click.Command | None = registry.get(Kind.COMMAND, cmd_name)
        return command

    def remarks(self) -> list[str]:
        """Return the plugins that were not loaded: the unknown command may be one of theirs."""
        return [f"not loaded: {i.name} (see jnlp plugins): {i.reason}" for i in self.plugins.infos if i.reason]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries, straight from the registry."""
        for kind, title in SECTIONS:
            rows = sorted((entry.name, entry.summary) for entry in self.plugins.registry.entries(kind))
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names without loading a command."""
        items = [
            CompletionItem(entry.name, help=entry.summary)
            for entry in self.entries()
            if entry.name.startswith(incomplete)
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments before the name of a command."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _in_our_words(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A JnlpError is printed in one line; a closed pipe ends the run quietly."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _in_our_words(error) from error
        except JnlpError as error:
            raise (CliUsageError if isinstance(error, UsageError) else CliError)(error) from error
        except KeyboardInterrupt as error:
            raise InterruptedRun.from_interrupt(error) from error
        except BrokenPipeError:
            # The reader (`| head`) has gone. What is still buffered must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            bug = self._plugin_bug(error)
            if bug is None:
                raise
            raise CliError(bug) from error

    def _plugin_bug(self, error: Exception) -> BrokenPluginError | None:
        """Return an error with the plugin's own traceback for a bug in a third party's plugin, or None."""
        third = [info for info in self.plugins.infos if info.distribution != "jnlp" and depth(error, info.module) >= 0]
        if not third:
            return None
        info = max(third, key=lambda info: depth(error, info.module))  # one plugin may have called another
        trace = own_traceback(error, info.module)
        bug = BrokenPluginError(f"plugin '{info.name}' failed: {own_line(error, info.module)}", trace=trace)
        for note in getattr(error, "__notes__", ()):
            bug.add_note(note)
        return bug


def _in_our_words(error: click.UsageError) -> CliUsageError:
    from jnlp.cli.wrong_calls import usage_error

    return CliUsageError(usage_error(error))
