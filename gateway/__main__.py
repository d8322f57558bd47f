"""The `farebox` command; `python -m gateway` is the same."""

from __future__ import annotations

import sys

from gateway import quick_start

quick_start.begin()

from gateway.cli import farebox  # noqa: E402 - this and what follows is what is to be quick
from gateway.cli.say import say  # noqa: E402
from gateway.errors import FareboxError, RateCardError, SettingsError  # noqa: E402

EXIT_WRONG_SETTINGS = 2
EXIT_FAILED = 1


def main() -> None:
    """Run the command line. What Farebox expected to go wrong is said in a message, without a traceback."""
    try:
        farebox(prog_name="farebox")
    except (SettingsError, RateCardError) as error:
        say(f"Error: {error}", error=True)
        sys.exit(EXIT_WRONG_SETTINGS)
    except FareboxError as error:
        say(f"Error: {error}", error=True)
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
