"""Where a Linux binary looks for its shared libraries: read it, and point it at a folder beside the binary.

A Python from pyenv or conda names its library folder by an absolute path, often in a home folder that no other account can enter.
A copy of it must look beside itself instead. Layout: System V ABI, chapters 4 and 5 (64-bit, little-endian).
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

_HEADER_64_LITTLE = b"\x7fELF\x02\x01"
_LOAD_SEGMENT, _DYNAMIC_SEGMENT = 1, 2
_STRING_TABLE, _RPATH, _RUNPATH = 5, 15, 29


def search_path(binary: Path) -> str | None:
    """The library search path written in `binary`; None where it has none, or is no 64-bit little-endian ELF file."""
    with binary.open("rb") as file:
        if file.read(6) != _HEADER_64_LITTLE:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
            place = _search_path_offset(image)
            return None if place is None else _string_at(image, place).decode()


def set_search_path(binary: Path, path: str) -> bool:
    """Overwrite the search path of `binary` in place. False where there is none, or where it is too short for `path`."""
    with binary.open("r+b") as file:
        if file.read(6) != _HEADER_64_LITTLE:
            return False
        with mmap.mmap(file.fileno(), 0) as image:
            place = _search_path_offset(image)
            if place is None:
                return False
            length = len(_string_at(image, place))
            if length < len(path):
                return False
            image[place : place + length] = path.encode().ljust(length, b"\0")
            return True


def _search_path_offset(image: mmap.mmap) -> int | None:
    """Where in the file the search path's characters begin."""
    segments = list(_segments(image))
    dynamic = next(((offset, size) for kind, offset, _, size in segments if kind == _DYNAMIC_SEGMENT), None)
    if dynamic is None:
        return None
    tags = dict(_dynamic_entries(image, *dynamic))
    name = tags.get(_RUNPATH, tags.get(_RPATH))
    table = tags.get(_STRING_TABLE)
    if name is None or table is None:
        return None
    for kind, offset, address, size in segments:
        if kind == _LOAD_SEGMENT and address <= table < address + size:
            return table - address + offset + name
    return None


def _segments(image: mmap.mmap) -> Iterator[tuple[int, int, int, int]]:
    """Kind, file offset, virtual address and size in the file of every segment."""
    (start,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for index in range(count):
        kind, _, offset, address, _, file_size = struct.unpack_from("<IIQQQQ", image, start + index * size)
        yield kind, offset, address, file_size


def _dynamic_entries(image: mmap.mmap, offset: int, size: int) -> Iterator[tuple[int, int]]:
    for place in range(offset, offset + size, 16):
        tag, value = struct.unpack_from("<qQ", image, place)
        if tag == 0:
            return
        yield tag, value


def _string_at(image: mmap.mmap, place: int) -> bytes:
    return image[place : image.find(b"\0", place)]
