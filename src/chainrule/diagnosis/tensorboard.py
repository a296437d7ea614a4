"""A run as a TensorBoard event file, written byte by byte.

An event file is a sequence of TFRecords: length (8 bytes), its masked CRC-32C, the data, its masked CRC-32C. The data
are `Event` messages in protocol-buffer encoding (https://protobuf.dev/programming-guides/encoding; the fields stand in
tensorflow/core/util/event.proto and summary.proto).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any

from .report import Report

_KINDS = {
    "grad": "gradient norm",
    "weight": "weight norm",
    "update": "update ratio",
    "input": "layer input",
    "slope": "activation slope",
    "zeros": "zeros",
    "dead": "dead units",
    "signal": "gradient signal",
}


def _table() -> list[int]:
    table = []
    for k in range(256):
        for _ in range(8):
            k = k >> 1 ^ (0x82F63B78 if k & 1 else 0)
        table.append(k)
    return table


_CRC = _table()


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and shifted as TFRecords want it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One TFRecord."""
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))


def varint(n: int) -> bytes:
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, text or a nested message."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def event(wall: float, step: int, body: bytes) -> bytes:
    """``Event``: wall_time (1, double), step (2, int64), then one of file_version (3) and summary (5)."""
    return struct.pack("<Bd", 1 << 3 | 1, wall) + varint(2 << 3) + varint(step) + body


def scalar(wall: float, step: int, tag: str, value: float) -> bytes:
    """An event with one number: ``Summary.Value`` with tag (1) and simple_value (2, float)."""
    inner = field(1, tag.encode()) + struct.pack("<Bf", 2 << 3 | 5, value)
    return event(wall, step, field(5, field(1, inner)))


def text(wall: float, step: int, tag: str, value: str) -> bytes:
    """An event with a text: a string tensor, with the metadata of TensorBoard's text plugin."""
    plugin = field(1, field(1, b"text"))
    tensor = varint(1 << 3) + varint(7) + field(2, field(2, varint(1 << 3) + varint(1))) + field(8, value.encode())
    inner = field(1, tag.encode()) + field(9, plugin) + field(8, tensor)
    return event(wall, step, field(5, field(1, inner)))


def events(report: Report) -> Iterable[bytes]:
    """All events of a run, in the order of their steps."""
    wall = time.time()
    rows: list[tuple[int, int, str, Any]] = [(s, 0, "loss", v) for s, v in report.loss]
    rows += [(s, 0, "learning rate", v) for s, v in report.rate]
    for kind, places in report.series.items():
        for place, points in places.items():
            rows += [(s, 0, f"{_KINDS.get(kind, kind)}/{place}", v) for s, v in points]
    rows += [(f.step, 1, f"finding/{f.code}", f"**{f.where}** {f.message} {f.remedy}") for f in report.findings]
    yield event(wall, 0, field(3, b"brain.Event:2"))
    for step, is_text, tag, value in sorted(rows, key=lambda r: r[0]):
        if value is not None:
            yield text(wall, step, tag, value) if is_text else scalar(wall, step, tag, value)


def write_events(folder: str | os.PathLike, report: Report) -> str:
    """Write a new event file into ``folder`` (made if it is not there); returns its path. Raises OSError."""
    folder = os.fspath(folder)
    os.makedirs(folder, exist_ok=True)
    name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
    path = os.path.join(folder, name)
    with open(path, "xb") as stream:
        for data in events(report):
            stream.write(record(data))
    return path
