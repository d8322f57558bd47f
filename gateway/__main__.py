"""The `farebox` command; `python -m gateway` is the same."""

from __future__ import annotations

import gc
import sys

gc.disable()  # saves a seventh of a start's CPU: imports make no garbage. The command line re-enables it

from gateway.cli import farebox  # noqa: E402 - imported without garbage collection
from gateway.cli.say import say  # noqa: E402 - as above
from gateway.errors import FareboxError, RateCardError, SettingsError  # noqa: E402 - as above

EXIT_WRONG_SETTINGS = 2
EXIT_FAILED = 1


def main() -> None:
    """Run the command line. Expected errors are printed as a message, without a traceback."""
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
