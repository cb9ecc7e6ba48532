"""The binary interface of the cxl driver: ioctl numbers, the structs they carry, and the events of read().

Facts of include/uapi/misc/cxl.h, for a little-endian powerpc kernel. Numbers have powerpc's ioctl encoding,
whatever machine the harness itself runs on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from re import findall
from struct import Struct
from typing import Any, NamedTuple

from harness.vocab.errors import Problem, ProtocolError, UsageError
from harness.wire.excerpt import excerpt

RAW = "RAW"
"""The name of an ioctl given by number and bytes; its fields are ``request`` and ``data`` (hexadecimal)."""


class Ioctl(NamedTuple):
    """An ioctl's number and struct. Fields called ``reserved…`` are shown only when they are not zero."""

    request: int
    struct: Struct
    fields: tuple[str, ...]

    def bounds(self) -> dict[str, tuple[int, int]]:
        """The least and the greatest value of each field."""
        codes = "".join(
            code * int(count or 1) for count, code in findall(r"(\d*)([a-zA-Z])", self.struct.format)
        )
        return {field: _RANGES[code] for field, code in zip(self.fields, codes, strict=True)}


_RANGES = {
    "Q": (0, (1 << 64) - 1),
    "I": (0, (1 << 32) - 1),
    "i": (-(1 << 31), (1 << 31) - 1),
    "H": (0, (1 << 16) - 1),
    "h": (-(1 << 15), (1 << 15) - 1),
}


_IMAGE_FIELDS = ("flags", "data", "len_data", "len_image")


def _reserved(count: int) -> tuple[str, ...]:
    return tuple(f"reserved{index}" for index in range(1, count + 1))


IOCTLS: dict[str, Ioctl] = {
    "START_WORK": Ioctl(
        0x8040_CA00,
        Struct("<QQQhHi4Q"),
        ("flags", "wed", "amr", "num_interrupts", "tid", *_reserved(5)),
    ),
    "GET_PROCESS_ELEMENT": Ioctl(0x4004_CA01, Struct("<I"), ("process_element",)),
    "GET_AFU_ID": Ioctl(
        0x4040_CA02, Struct("<Q4I5Q"), ("flags", "card_id", "afu_offset", "afu_mode", *_reserved(6))
    ),
    "DOWNLOAD_IMAGE": Ioctl(0x8040_CA0A, Struct("<8Q"), (*_IMAGE_FIELDS, *_reserved(4))),
    "VALIDATE_IMAGE": Ioctl(0x8040_CA0B, Struct("<8Q"), (*_IMAGE_FIELDS, *_reserved(4))),
}

_BOUNDS = {name: ioctl.bounds() for name, ioctl in IOCTLS.items()}
_NAMES = {ioctl.request: name for name, ioctl in IOCTLS.items()}

_HEADER = Struct("<4H")
_Body = tuple[str, Struct, tuple[str, ...]]
_EVENTS: dict[int, _Body] = {
    1: ("afu_interrupt", Struct("<HHI"), ("flags", "irq", "reserved1")),
    2: ("data_storage", Struct("<HHIQQQ"), ("flags", "reserved1", "reserved2", "addr", "dsisr", "reserved3")),
    3: ("afu_error", Struct("<HHIQ"), ("flags", "reserved1", "reserved2", "error")),
}
_AFU_DRIVER = 4


def encode_ioctl(name: str, fields: Mapping[str, Any]) -> tuple[int, str]:
    """Return the request number of the ioctl `name`, and its struct in hexadecimal; missing fields are 0.

    Raises UsageError for an unknown name, and for every field that is unknown or does not fit.
    """
    if name == RAW:
        return _encode_raw(fields)
    ioctl = IOCTLS.get(name)
    if ioctl is None:
        raise UsageError(Problem(f"unknown ioctl {name!r}", allowed=", ".join((*IOCTLS, RAW))))
    problems = _misfits(name, ioctl, fields)
    if problems:
        raise UsageError(problems)
    return ioctl.request, ioctl.struct.pack(*(fields.get(field, 0) for field in ioctl.fields)).hex()


def decode_ioctl(name: str, data_hex: str) -> dict[str, Any]:
    """Return the fields of the struct that came back from the ioctl `name`.

    Raises ProtocolError when `data_hex` is not hexadecimal or has another length than the struct.
    """
    return dict(_unpacked(name, data_hex))


@lru_cache(maxsize=4096)
def _unpacked(name: str, data_hex: str) -> dict[str, Any]:
    """The fields of a struct; remembered, because probes attach in the same way in every case."""
    data = _bytes(data_hex)
    if name == RAW:
        return {"data": data_hex}
    ioctl = IOCTLS[name]
    if len(data) != ioctl.struct.size:
        raise ProtocolError(f"{name} gave {len(data)} bytes, its struct has {ioctl.struct.size}")
    return _shown(ioctl.fields, ioctl.struct.unpack(data))


def decode_request(request: int, data_hex: str) -> tuple[str, dict[str, Any]]:
    """Return name and fields of an ioctl as it was sent; RAW when it is not one that the driver knows."""
    name = _NAMES.get(request, RAW)
    if name == RAW or len(data_hex) != 2 * IOCTLS[name].struct.size:
        return RAW, {"request": request, "data": data_hex}
    return name, decode_ioctl(name, data_hex)


def decode_event(data_hex: str) -> dict[str, Any]:
    """Return one event of read(): its `type`, its `process_element`, and the fields of that type.

    Bytes that are no event of the driver's interface are a fact about the host and not an error: the type is
    ``malformed`` and `data` has them. Raises ProtocolError when `data_hex` is not hexadecimal.
    """
    data = _bytes(data_hex)
    malformed = {"type": "malformed", "process_element": -1, "data": data_hex}
    if len(data) < _HEADER.size:
        return malformed
    number, size, process_element, _ = _HEADER.unpack_from(data)
    if size > len(data) or size < _HEADER.size:
        return malformed
    if number == _AFU_DRIVER:
        body = data[_HEADER.size : size].hex()
        return {"type": "afu_driver", "process_element": process_element, "data": body}
    if number not in _EVENTS or size != _HEADER.size + _EVENTS[number][1].size:
        return malformed
    kind, struct, names = _EVENTS[number]
    values = struct.unpack_from(data, _HEADER.size)
    return {"type": kind, "process_element": process_element, **_shown(names, values)}


def _shown(names: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: value
        for name, value in zip(names, values, strict=True)
        if value or not name.startswith("reserved")
    }


def _encode_raw(fields: Mapping[str, Any]) -> tuple[int, str]:
    request, data = fields.get("request"), fields.get("data")
    if type(request) is not int or not 0 <= request < 1 << 32:
        raise UsageError(Problem(f"{RAW}.request is {request!r}", allowed="a number of 32 bits"))
    if type(data) is not str or not _is_hex(data):
        raise UsageError(
            Problem(f"{RAW}.data is {excerpt(data)}", allowed="hexadecimal digits, an even number")
        )
    return request, data


def _misfits(name: str, ioctl: Ioctl, fields: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for field, value in fields.items():
        bounds = _BOUNDS[name].get(field)
        if bounds is None:
            problems.append(Problem(f"{name} has no field {field!r}", allowed=", ".join(ioctl.fields)))
        elif type(value) is not int or not bounds[0] <= value <= bounds[1]:
            problems.append(
                Problem(
                    f"{name}.{field} is {excerpt(value)}",
                    allowed=f"whole numbers from {bounds[0]} to {bounds[1]}",
                )
            )
    return problems


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and not text.strip("0123456789abcdefABCDEF")


def _bytes(data_hex: object) -> bytes:
    if type(data_hex) is not str or not _is_hex(data_hex):
        raise ProtocolError(f"expected hexadecimal data, got {excerpt(data_hex)}")
    return bytes.fromhex(data_hex)
