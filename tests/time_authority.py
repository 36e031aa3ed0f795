"""A real RFC 3161 authority: ``openssl ts`` behind a small HTTP server."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[req]
distinguished_name = dn
[dn]
[tsa]
default_tsa = config
[config]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[stamping]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
authorityKeyIdentifier = keyid
"""


def _openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True).stdout


class TimeAuthority:
    """Its certificates lie in ``folder``: ``ca.pem`` is what a reader trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ca = folder, folder / "ca.pem"
        self.url, self._one = "", threading.Lock()
        (folder / "config").write_text(CONFIG.format(folder=folder))
        new = ("req", "-new", "-newkey", "rsa:2048", "-nodes")
        of_ca = ("-x509", "-days", "10", "-subj", "/CN=Test CA", "-config", folder / "config", "-extensions", "ca")
        _openssl(*new, *of_ca, "-keyout", folder / "ca.key", "-out", self.ca)
        of_tsa = ("-subj", "/CN=Test TSA", "-config", folder / "config")
        _openssl(*new, *of_tsa, "-keyout", folder / "tsa.key", "-out", folder / "tsa.csr")
        signing = ("-CA", self.ca, "-CAkey", folder / "ca.key", "-set_serial", "2", "-days", "10")
        extensions = ("-extfile", folder / "config", "-extensions", "stamping")
        _openssl("x509", "-req", "-in", folder / "tsa.csr", *signing, *extensions, "-out", folder / "tsa.pem")
        (folder / "serial").write_text("01\n")

    def reply(self, query: bytes) -> bytes:
        config = ("-config", self.folder / "config", "-section", "config")
        with self._one:  # the query's file and the serial number are those of one
            (self.folder / "query").write_bytes(query)
            return _openssl("ts", "-reply", "-queryfile", self.folder / "query", *config)


@contextmanager
def serving(folder: Path) -> Iterator[TimeAuthority]:
    authority = TimeAuthority(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            answer = b"no time stamp" if self.path == "/junk" else authority.reply(content)
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authority.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
