"""The `farebox` command; `python -m gateway` is the same."""

from __future__ import annotations

import sys

import click

from gateway.cli import farebox
from gateway.errors import FareboxError, RateCardError, SettingsError

EXIT_WRONG_SETTINGS = 2
EXIT_FAILED = 1


def main() -> None:
    """Run the command line. What Farebox expected to go wrong is said in a message, without a traceback."""
    try:
        farebox(prog_name="farebox")
    except (SettingsError, RateCardError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_WRONG_SETTINGS)
    except FareboxError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
