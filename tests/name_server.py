"""A DNS server for tests, which answers every name with the addresses that it has at the moment."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HEADER, QUESTION_END = 12, 4  # bytes: before the question, and of its type and class after the name
A, IN, TTL_SECONDS = 1, 1, 1
ANSWERED = 0x8180


@dataclass
class Names:
    """What it answers, and at which port of 127.0.0.1."""

    addresses: list[str]
    port: int = 0
    asked: int = field(default=0)

    def answer(self, query: bytes) -> bytes:
        """Return the response to a query: an address record for each address, none for other types."""
        end = query.index(b"\0", HEADER) + 1 + QUESTION_END
        question, kind = query[HEADER:end], int.from_bytes(query[end - 4 : end - 2], "big")
        found = self.addresses if kind == A else []
        self.asked += kind == A
        counts = [ANSWERED, 1, len(found), 0, 0]
        header = query[:2] + b"".join(number.to_bytes(2, "big") for number in counts)
        record = b"\xc0\x0c" + b"".join(number.to_bytes(2, "big") for number in (A, IN, 0, TTL_SECONDS, 4))
        return header + question + b"".join(record + socket.inet_aton(address) for address in found)


@contextmanager
def name_server(*addresses: str) -> Iterator[Names]:
    """Answer until the end of the block."""
    names = Names(list(addresses))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, answering = self.request
            answering.sendto(names.answer(query), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        names.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield names
        finally:
            server.shutdown()
            thread.join()
