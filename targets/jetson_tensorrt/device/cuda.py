"""The few calls of the CUDA runtime that an inference needs, through ctypes: JetPack has no Python package for them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, List

from edgedistill.targets.jetson_tensorrt.device.answer import InputError, TensorRtError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLACES = (
    "usr/local/cuda/lib64/libcudart.so*",
    "usr/local/cuda/targets/aarch64-linux/lib/libcudart.so*",
    "usr/lib/aarch64-linux-gnu/libcudart.so*",
)
TO_DEVICE, TO_HOST = 1, 2
MAJOR, MINOR = 75, 76  # cudaDevAttrComputeCapabilityMajor and Minor
VARIABLE = "EDGEDISTILL_CUDART"  # names the library where it lies elsewhere


class Cuda:
    """Memory, copies, one stream and events of one GPU.

    Raises:
        InputError: there is no CUDA runtime library.
        TensorRtError: a call failed.
    """

    def __init__(self) -> None:
        self._library = _loaded()
        self.stream = self._made("cudaStreamCreate")

    def compute_capability(self) -> str:
        """Return the GPU's compute capability: "8.7" is Orin."""
        found = []
        for attribute in (MAJOR, MINOR):
            value = ctypes.c_int()
            self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0))
            found.append(value.value)
        return "{}.{}".format(*found)

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory."""
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return int(address.value or 0)

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._call("cudaFree", ctypes.c_void_p(address))

    def to_device(self, address: int, values: NDArray[np.generic]) -> None:
        """Queue a copy of a C-ordered array into device memory."""
        self._copy(address, values.ctypes.data, values.nbytes, TO_DEVICE)

    def to_host(self, values: NDArray[np.generic], address: int) -> None:
        """Queue a copy of device memory into a C-ordered array."""
        self._copy(values.ctypes.data, address, values.nbytes, TO_HOST)

    def synchronize(self) -> None:
        """Wait for everything that was queued."""
        self._call("cudaStreamSynchronize", ctypes.c_void_p(self.stream))

    def event(self) -> int:
        """Return a new event."""
        return self._made("cudaEventCreate")

    def record(self, event: int) -> None:
        """Queue an event."""
        self._call("cudaEventRecord", ctypes.c_void_p(event), ctypes.c_void_p(self.stream))

    def elapsed_ms(self, first: int, last: int) -> float:
        """Return the milliseconds between two events that have happened."""
        found = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(found), ctypes.c_void_p(first), ctypes.c_void_p(last))
        return float(found.value)

    def _copy(self, into: int, source: int, size_bytes: int, kind: int) -> None:
        self._call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(into),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size_bytes),
            ctypes.c_int(kind),
            ctypes.c_void_p(self.stream),
        )

    def _made(self, name: str) -> int:
        handle = ctypes.c_void_p()
        self._call(name, ctypes.byref(handle))
        return int(handle.value or 0)

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - ctypes values of every kind
        code = getattr(self._library, name)(*arguments)
        if code:
            describe = self._library.cudaGetErrorString
            describe.restype = ctypes.c_char_p
            text = describe(ctypes.c_int(code)) or b""
            raise TensorRtError("{}: error {} ({})".format(name, code, text.decode("utf-8", "replace")))


def _loaded() -> ctypes.CDLL:
    candidates: List[str] = [os.environ[VARIABLE]] if VARIABLE in os.environ else []
    for place in PLACES:
        candidates += sorted(str(path) for path in Path("/").glob(place))
    candidates += ["libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0"]
    for candidate in candidates:
        try:
            return ctypes.CDLL(candidate)
        except OSError:
            continue
    raise InputError("no CUDA runtime library (libcudart.so) found; JetPack installs it in /usr/local/cuda")
