"""Real emulated boards in tests: the device that one is, and a cable to it that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from edgedistill.devices.emulation.boards import Link
from edgedistill.devices.inventory import Entry, Listed, reached
from edgedistill.devices.remote import RemoteDevice

if TYPE_CHECKING:
    from edgedistill.devices.emulation.boards import EmulatedBoard


def device_of(
    board: EmulatedBoard, *, user: str = "root", port: int | None = None, python: str = "python3"
) -> RemoteDevice:
    """Return the device that a board is, for another user or through another port."""
    address = f"ssh://{user}@{board.name}" + (f":{port}" if port else "")
    entry = (
        Entry(address=address, ssh_config=str(board.ssh_config), python=python)
        if board.choice.link is Link.SSH
        else Entry(address=board.address, adb=str(board.adb), python=python)
    )
    device = reached(Listed(board.name, entry, None))
    assert isinstance(device, RemoteDevice)
    return device


class Cable:
    """A TCP connection to a board that can be cut: real connections are closed, new ones refused until it is mended.

    Args:
        port: of the board, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._board = port
        self._whole = True
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cut every connection."""
        self._whole = False
        for end in self._ends:
            _shut(end)
        self._ends.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if not self._whole:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._board))
            self._ends += [near, far]
            for source, into in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, into), daemon=True).start()


def _pump(source: socket.socket, into: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            into.sendall(block)
    _shut(into)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
