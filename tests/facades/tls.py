"""TLS in front of a server, as a proxy does it: for clients that speak nothing else."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.free_ports import free_port

_CHUNK = 65_536
_TLS_GREETING = b"\x16"


@dataclass
class TlsProxy:
    """Listens on a port of its own with a certificate of its own, and passes all bytes on to `port`.

    `plain_too`: what does not begin with a TLS greeting is passed on as it is.
    """

    folder: Path
    port: int
    listens_on: int = field(default_factory=free_port)
    plain_too: bool = False
    encrypted: int = 0
    """How many connections with TLS there have been."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.listens_on}"

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    def start(self) -> None:
        """Return when it listens."""
        if not self.certificate.exists():  # proxies with one folder have one certificate
            _certify(self.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        listening = threading.Event()

        async def serve() -> None:
            listener = socket.create_server(("127.0.0.1", self.listens_on))
            listener.settimeout(0)
            with listener:
                accepting = asyncio.create_task(self._accept(listener, context))
                listening.set()
                await self._over.wait()
                accepting.cancel()
                open_ones = asyncio.all_tasks() - {asyncio.current_task()}
                for one in open_ones:
                    one.cancel()
                await asyncio.gather(*open_ones, return_exceptions=True)

        def work() -> None:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(serve())

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        assert listening.wait(30)

    def stop(self) -> None:
        """End it, and every connection with it."""
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        async with asyncio.TaskGroup() as greetings:
            while True:
                connection, _ = await self._loop.sock_accept(listener)
                connection.settimeout(0)
                greetings.create_task(self._greet(connection, context))

    async def _greet(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader, self._pass_on)
        greeted = False
        try:
            is_tls = not self.plain_too or await self._first_byte(connection) == _TLS_GREETING
            await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=context if is_tls else None)
            greeted = True
            self.encrypted += is_tls
        except OSError:
            pass  # who called does not trust the certificate, or has gone
        finally:
            if not greeted:
                connection.close()

    async def _first_byte(self, connection: socket.socket) -> bytes:
        """Look at it, and leave it there."""
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(connection)
        with suppress(OSError):
            return connection.recv(1, socket.MSG_PEEK)
        return b""

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:  # the gateway is away: so is the connection
            writer.transport.abort()
            return
        ways = [asyncio.create_task(_copy(reader, to_writer)), asyncio.create_task(_copy(to_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            to_writer.close()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            for way in ways:
                way.cancel()
            to_writer.transport.abort()
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _certify(file: Path) -> None:
    """A key and a certificate of 127.0.0.1 that it signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
