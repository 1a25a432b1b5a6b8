"""``oastfs completion`` and ``version``, and what shells offer for paths."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, get_completion_class

from oastfs.cli.location import URL_VARIABLE, parse
from oastfs.core.version import VERSION

_OFFERS_MAX = 500

_WHERE = {
    "bash": '# In ~/.bashrc:  eval "$(oastfs completion bash)"',
    "zsh": '# In ~/.zshrc, after compinit:  eval "$(oastfs completion zsh)"',
    "fish": "# Once:  oastfs completion fish > ~/.config/fish/completions/oastfs.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(oastfs completion bash)"   in ~/.bashrc
    zsh:  eval "$(oastfs completion zsh)"    in ~/.zshrc
    fish: oastfs completion fish > ~/.config/fish/completions/oastfs.fish
    """
    from oastfs.cli import cli

    found = get_completion_class(shell)
    assert found is not None  # click has all three
    click.echo(_WHERE[shell])
    click.echo(found(cli, {}, "oastfs", "_OASTFS_COMPLETE").source())


@click.command()
def version_command() -> None:
    """Print the version."""
    click.echo(f"oastfs {VERSION}")


def complete_path(incomplete: str) -> list[CompletionItem]:
    """Entries that begin with ``incomplete``, a path in the filesystem of ``OASTFS_URL``.

    A shell asks at a key press: anything wrong means no offers, never an error. URLs are not
    completed (bash takes the colon for the end of a word).
    """
    if not os.environ.get(URL_VARIABLE) or "://" in incomplete:
        return []
    from oastfs.client import connect

    directory, slash, beginning = incomplete.rpartition("/")
    try:
        location = parse(directory + slash or ".")
        fs = connect(location.address)
        try:
            page = fs.metadata.listdir(fs.caller, location.path, _just_before(beginning), _OFFERS_MAX)
        finally:
            fs.close()
    except (OSError, ValueError):
        return []
    return [
        CompletionItem(f"{directory}{slash}{entry.name}{'/' if entry.is_directory else ''}", type="plain")
        for entry in page.entries
        if entry.name.startswith(beginning)
    ]


def _just_before(beginning: str) -> str:
    """A text that sorts before ``beginning`` and after (nearly) all that sorts before that."""
    if not beginning:
        return ""
    return beginning[:-1] + chr(ord(beginning[-1]) - 1) + "\U0010ffff"
