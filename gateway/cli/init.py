"""`farebox init`: a rate card to begin with, in the folder where Farebox is to run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from gateway.cli.documentation import fields_page
from gateway.cli.say import say
from gateway.errors import SettingsError
from gateway.pricing.load import FILE_NAME, packaged_card_path
from gateway.settings import load_settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def init(folder: Path) -> None:
    """Write pricing.toml, the rate card, into FOLDER (here, if left out). It never overwrites one.

    It is the example that comes with Farebox, with comments: tools, models, prices, plans, and `sandbox` as the
    provider of each model. Change it to what you sell. Without a card of your own Farebox sells by the example.

    \b
    Examples:
      farebox init
      farebox init shop
    """
    path = folder / FILE_NAME
    _write(path, packaged_card_path().read_bytes())
    say(f"{path} is yours to change. Every field is explained in\n  {fields_page()}\n\nNext:")
    here = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    say(f"  {here}farebox pricing check   prove it, and see its prices\n  {here}farebox up              sell by it")
    set_elsewhere = load_settings().rate_card
    if set_elsewhere is not None and set_elsewhere.resolve() != path.resolve():
        say(f"\nNote: FAREBOX_RATE_CARD names {set_elsewhere}, which is used instead.", error=True)


def _write(path: Path, contents: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            file.write(contents)
    except FileExistsError:
        raise SettingsError(f"{path} is there already, and was left as it is.") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from None
