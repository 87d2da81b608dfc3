"""Reads the weight file of a package: numbers by their offset, each checked before it is believed.

Source: the format that coremltools 9.0 writes (MILBlob, version 2): a header of 64 bytes, then for each array a record
of 64 bytes (sentinel, type, size, offset of its bytes), everything aligned to 64 bytes, little endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import UnsafeFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER = struct.Struct("<II")
RECORD = struct.Struct("<IIQQ")
SENTINEL = 0xDEADBEEF
VERSION = 2
TYPES = {1: "<f2", 2: "<f4", 3: "u1", 4: "i1", 6: "<i2", 7: "<u2", 14: "<i4", 15: "<u4"}


@dataclass(frozen=True)
class WeightFile:
    """The weight file of a package.

    Args:
        data: the whole file.
        thing: how messages call it.

    Raises:
        UnsafeFileError: it is no weight file of version 2.
    """

    data: bytes
    thing: str

    def __post_init__(self) -> None:
        if len(self.data) < HEADER.size or HEADER.unpack_from(self.data)[1] != VERSION:
            raise UnsafeFileError(self.thing, found="no weight file of version 2")

    def array(self, offset: int, shape: tuple[int, ...], dtype: str) -> NDArray[np.generic]:
        """Return the array whose record begins at an offset.

        Args:
            offset: of the record, in bytes.
            shape: what the model says its shape is.
            dtype: numpy's name of the type that the model says it has.

        Raises:
            UnsafeFileError: no record there, another type or size, or bytes outside the file.
        """
        if offset < 0 or offset + RECORD.size > len(self.data):
            raise UnsafeFileError(self.thing, found=f"a record at byte {offset}, outside its {len(self.data)} bytes")
        sentinel, kind, size, start = RECORD.unpack_from(self.data, offset)
        if sentinel != SENTINEL:
            raise UnsafeFileError(self.thing, found=f"no record at byte {offset}")
        stored, wanted = np.dtype(TYPES.get(kind, "V")), np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        if stored != wanted or size != count * wanted.itemsize or start + size > len(self.data):
            raise UnsafeFileError(
                self.thing,
                found=f"{size} bytes of type {stored} from byte {start}",
                wanted=f"{count} numbers of type {wanted} within {len(self.data)} bytes",
            )
        return np.frombuffer(self.data, wanted, count, start).reshape(shape)
