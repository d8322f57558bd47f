"""nginx and Caddy with the examples of `deploy/`, and a certificate that only its own file vouches for."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.free_ports import free_port
from tests.missing import not_run

DEPLOY = Path(__file__).parents[1] / "deploy"
NAME = "farebox.example.com"


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    if found is None:
        not_run(f"{name} is not installed: apt-get install {name}")
    return found


def certificate(folder: Path, *addresses: str) -> None:
    """A certificate of its own making for `NAME` and some addresses, as `fullchain.pem` and `privkey.pem`."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    others = [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME), *others]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def nginx(folder: Path, gateway: int, port: int) -> list[str]:
    text = (DEPLOY / "nginx" / "farebox.conf").read_text()
    for before, after in {
        "127.0.0.1:8080": f"127.0.0.1:{gateway}",
        "    listen [::]:443 ssl http2;\n": "",
        "    listen [::]:80;\n": "",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        f"/etc/letsencrypt/live/{NAME}": str(folder),
    }.items():
        assert before in text, f"the example has changed: {before}"
        text = text.replace(before, after)
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "farebox.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; \n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {folder}/farebox.conf; }}\n"
    )
    return [program("nginx"), "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def caddy(folder: Path, gateway: int, port: int, address: str = "127.0.0.1") -> list[str]:
    text = (DEPLOY / "caddy" / "Caddyfile").read_text()
    for before, after in {
        "127.0.0.1:8080": f"127.0.0.1:{gateway}",
        f"{NAME} {{": (
            f"{{\n\tadmin off\n\tauto_https off\n}}\n\nhttps://{NAME}:{port}, https://{address}:{port} {{\n"
            f"\tbind {address}\n\ttls {folder}/fullchain.pem {folder}/privkey.pem"
        ),
    }.items():
        assert before in text, f"the example has changed: {before}"
        text = text.replace(before, after)
    (folder / "Caddyfile").write_text(text)
    return [program("caddy"), "run", "--config", f"{folder}/Caddyfile"]
