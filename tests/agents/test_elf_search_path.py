"""Reading and changing where a binary looks for its libraries, on a file made by hand."""

import struct
from pathlib import Path

import pytest

from hedgerow.agents.elf_search_path import search_path, set_search_path

RPATH, RUNPATH = 15, 29


def _binary(folder: Path, tag: int | None, path: str) -> Path:
    """A 64-bit little-endian ELF file with one loaded segment and a dynamic one."""
    strings = b"\0" + path.encode() + b"\0"
    entries = [(5, 0x1000 + 0x200), *([(tag, 1)] if tag else []), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0x1000, 0x400, 0x400, 0x1000)
    found = struct.pack("<IIQQQQQQ", 2, 6, 0x100, 0x1100, 0x1100, len(dynamic), len(dynamic), 8)
    image = bytearray(0x400)
    for place, part in ((0, header), (64, load + found), (0x100, dynamic), (0x200, strings)):
        image[place : place + len(part)] = part
    file = folder / "binary"
    file.write_bytes(image)
    return file


@pytest.mark.parametrize("tag", [RPATH, RUNPATH])
def test_a_search_path_is_read_and_replaced_in_place(tag: int, tmp_path: Path) -> None:
    binary = _binary(tmp_path, tag, "/home/somebody/python/lib")
    assert search_path(binary) == "/home/somebody/python/lib"
    size = binary.stat().st_size
    assert set_search_path(binary, "$ORIGIN/../lib")
    assert search_path(binary) == "$ORIGIN/../lib"
    assert binary.stat().st_size == size


def test_one_that_is_too_short_is_left_alone(tmp_path: Path) -> None:
    binary = _binary(tmp_path, RUNPATH, "/opt/lib")
    assert not set_search_path(binary, "$ORIGIN/../lib")
    assert search_path(binary) == "/opt/lib"


def test_a_binary_without_one_has_none(tmp_path: Path) -> None:
    binary = _binary(tmp_path, None, "")
    assert search_path(binary) is None
    assert not set_search_path(binary, "$ORIGIN")


def test_another_kind_of_file_has_none(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert search_path(script) is None
    assert not set_search_path(script, "$ORIGIN")
