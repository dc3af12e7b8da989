"""The bench's control socket: one JSON object a line in, one out."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robot.errors import BusError, SteadyhandError

Handler = Callable[[dict[str, Any]], dict[str, Any]]
LONGEST = 65536  # bytes of one request


class Control:
    """Serves requests from the loop of its owner: wait on `fds`, then call `serve`."""

    def __init__(self, path: Path, handler: Handler) -> None:
        """Raises `BusError` when another bench answers at `path`, or it cannot be made."""
        self.path, self._handler = path, handler
        self._clients: dict[socket.socket, bytes] = {}
        refuse_if_alive(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._socket.bind(str(aside))
            self._socket.listen(8)
            os.replace(aside, path)
        except OSError as error:
            self._socket.close()
            raise BusError(f"cannot listen at {path}: {error}") from error
        self._socket.setblocking(False)

    @property
    def fds(self) -> list[socket.socket]:
        return [self._socket, *self._clients]

    def serve(self, ready: list[Any]) -> None:
        """Deal with those of `fds` that are ready."""
        for source in ready:
            if source is self._socket:
                client, _ = self._socket.accept()
                client.setblocking(False)
                self._clients[client] = b""
            elif source in self._clients:
                self._hear(source)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _hear(self, client: socket.socket) -> None:
        try:
            data = client.recv(4096)
            if not data or len(self._clients[client]) > LONGEST:
                raise ConnectionResetError
            *lines, rest = (self._clients[client] + data).split(b"\n")
            self._clients[client] = rest
            for text in lines:
                client.sendall(json.dumps(self._answer(text)).encode() + b"\n")
        except BlockingIOError:
            return
        except OSError:
            del self._clients[client]
            client.close()

    def _answer(self, text: bytes) -> dict[str, Any]:
        try:
            request = json.loads(text)
            if not isinstance(request, dict):
                raise ValueError("a request is a JSON object")
            return {"ok": True, **self._handler(request)}
        except (SteadyhandError, ValueError, KeyError, TypeError) as error:
            return {"ok": False, "error": str(error)}


def refuse_if_alive(path: Path) -> None:
    """Raise `BusError` when a bench answers at `path`; a socket that nobody serves any more is removed."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise BusError(f"another bench serves at {path}; stop it or choose another link=")
