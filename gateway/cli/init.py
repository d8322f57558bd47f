"""`farebox init`: writes an example rate card into the folder where Farebox will run."""

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
    """Write pricing.toml, the rate card, into FOLDER (default: here). An existing file is never overwritten.

    It is the packaged example, with comments: tools, models, prices, plans, and `sandbox` as the provider of each
    model. Edit it to match what you sell. Without a rate card of your own, Farebox uses the example.

    \b
    Examples:
      farebox init
      farebox init shop
    """
    path = folder / FILE_NAME
    _write(path, packaged_card_path().read_bytes())
    say(f"{path} is yours to edit. Every field is explained in\n  {fields_page()}\n\nNext:")
    here = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    say(f"  {here}farebox pricing check   check it and print its prices")
    say(f"  {here}farebox up              start Farebox with it")
    set_elsewhere = load_settings().rate_card
    if set_elsewhere is not None and set_elsewhere.resolve() != path.resolve():
        say(f"\nNote: FAREBOX_RATE_CARD is set to {set_elsewhere}, which is used instead.", error=True)


def _write(path: Path, contents: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            file.write(contents)
    except FileExistsError:
        raise SettingsError(f"{path} already exists and was not changed.") from None
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None
