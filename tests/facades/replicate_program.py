"""A program that uses nothing but the calls that every version of `replicate` has: run with each that is supported.

Its argument is a picture, or nothing if the account has no credits; the base URL and the key are in the environment.
It prints what it saw.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import replicate

FLUX = "farebox/flux-dev"


def error_of(call: Callable[[], Any]) -> list[Any]:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the versions have no class in common
        status = getattr(error, "status", None) or getattr(error, "status_code", None)
        return [type(error).__name__, status, str(error)]
    return ["no error"]


def main(file: str = "") -> dict[str, Any]:
    if not file:
        return {"errors": {"poor": error_of(lambda: replicate.run(FLUX, input={"prompt": "x"}))}}
    made = replicate.run(FLUX, input={"prompt": "a cat", "num_outputs": 2})
    with Path(file).open("rb") as picture:
        edited = replicate.run("farebox/nano-banana", input={"prompt": "bluer", "image": picture})
    return {
        "made": [str(one)[:4] for one in made],
        "edited": len(list(edited)),
        "errors": {
            "failed": error_of(lambda: replicate.run(FLUX, input={"prompt": "x", "sandbox": {"fail": "moderated"}})),
            "setting": error_of(lambda: replicate.run(FLUX, input={"prompt": "x", "resolution": "9K"})),
            "model": error_of(lambda: replicate.run("farebox/sdxl", input={"prompt": "x"})),
        },
    }


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
