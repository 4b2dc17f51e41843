"""Reads a pickle as a description, not as a program: no name in it is ever looked up, imported or called.

A pickle is a list of instructions to a stack machine. The usual machine imports what a file names and calls it;
this one has neither import nor call. Where a file asks for an object, a `Made` record of what it asked for is
kept, and only for names of a fixed table; instructions for which such files have no use end the reading.
"""

import codecs
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_INTEGER_BYTES = 9
MAX_LINE_BYTES = 200  # of names and numbers; texts may be longer


class RefusedPickle(ValueError):
    """The pickle asks for what no such file needs."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the table; `kind` is what the table says of it."""

    kind: str


@dataclass(slots=True, eq=False)
class Made:
    """An object that the file describes and nobody makes: of which kind, from what, with which state."""

    kind: str
    args: tuple[Any, ...]
    state: Any = None


def unpickle(content: bytes, names: Mapping[tuple[str, str], str]) -> Any:
    """What a pickle of protocol 0 to 5 describes: plain values, lists, tuples, dictionaries, `Made` records.

    Python 2's byte strings become texts of the same code points (latin-1); sets become lists.

    Args:
        names: kind by (module, name), of every name that may occur.

    Raises:
        RefusedPickle: if a name is not in the table, or an instruction has no use in such a file.
        ValueError: if it is cut off or damaged.
    """
    machine = _Machine(content, names)
    while True:
        start = machine.at
        try:
            code = machine.take(1)[0]
            if code == ord("."):
                return machine.pop()
            if code in _REFUSED:
                raise RefusedPickle(f"must hold arrays and plain values, holds {_REFUSED[code]}")
            if code not in _ACTIONS:
                raise ValueError(f"there is no instruction {bytes([code])!r}")
            _ACTIONS[code](machine)
        except RefusedPickle as refusal:
            raise RefusedPickle(f"{refusal} (byte {start})") from None
        except (IndexError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise ValueError(f"must be a whole pickle, is damaged at byte {start} ({error})") from error


_MARK = object()


class _Machine:
    """The stack, the memo and the place in one pickle."""

    def __init__(self, content: bytes, names: Mapping[tuple[str, str], str]) -> None:
        self._content, self._names = content, names
        self.at = 0
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    # the bytes

    def take(self, count: int) -> bytes:
        if count > len(self._content) - self.at:
            raise ValueError(f"cut off after {len(self._content)} bytes")
        self.at += count
        return self._content[self.at - count : self.at]

    def line(self, limit: int = MAX_LINE_BYTES) -> bytes:
        end = self._content.find(b"\n", self.at, self.at + limit)
        if end < 0:
            raise ValueError("a line does not end")
        start, self.at = self.at, end + 1
        return self._content[start:end]

    def long_line(self) -> bytes:
        return self.line(len(self._content))

    def unsigned(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def signed(self, count: int) -> int:
        if count > MAX_INTEGER_BYTES:
            raise RefusedPickle(
                f"must hold integers of at most {MAX_INTEGER_BYTES} bytes, holds one of {count}"
            )
        return int.from_bytes(self.take(count), "little", signed=True)

    def number(self) -> int | bool:
        line = self.line()
        return line == b"01" if line in (b"00", b"01") else int(line.rstrip(b"L"))

    def counted(self, length_bytes: int) -> bytes:
        return self.take(self.unsigned(length_bytes))

    def quoted(self) -> str:
        line = self.long_line().strip()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
            raise ValueError("a text does not stand in quotes")
        return codecs.escape_decode(line[1:-1])[0].decode("latin-1")

    # the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        top = self.stack.pop()
        if top is _MARK:
            raise ValueError("a mark is no value")
        return top

    def pop_to_mark(self) -> list[Any]:
        start = next((at for at in range(len(self.stack), 0, -1) if self.stack[at - 1] is _MARK), 0)
        if start == 0:
            raise ValueError("there is no mark")
        items = self.stack[start:]
        del self.stack[start - 1 :]
        return items

    def pop_some(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise RefusedPickle("must fill its own lists, dictionaries and objects, fills something else")
        return self.stack[-1]

    # what instructions do

    def name(self, module: Any, name: Any) -> None:
        known = type(module) is str and type(name) is str and (module, name) in self._names
        if not known:
            raise RefusedPickle(f"must name arrays and plain values only, names {f'{module}.{name}'[:80]!r}")
        self.push(Name(self._names[module, name]))

    def make(self) -> None:
        name, args = self.pop_some(2)
        if type(name) is not Name or type(args) is not tuple:
            raise RefusedPickle("must make objects of a name and a tuple, makes one of something else")
        self.push(Made(name.kind, args))

    def build(self) -> None:
        state = self.pop()
        made = self.top(Made)
        if made.state is not None:
            raise RefusedPickle("must give an object its state once, gives it twice")
        made.state = state

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.top(dict).update(_pairs(items))

    def remember(self, key: int) -> None:
        self.push(self.pop())  # a mark is no value
        self._memo[key] = self.stack[-1]

    def remember_next(self) -> None:
        self.remember(len(self._memo))

    def recall(self, key: int) -> None:
        if key not in self._memo:
            raise ValueError(f"nothing is remembered as {key}")
        self.push(self._memo[key])


def _pairs(items: list[Any]) -> dict[str | int, Any]:
    keys, values = items[::2], items[1::2]
    if not all(type(key) in (str, int) for key in keys):
        # The hash of what a file nests can take for ever, or all of the process's stack.
        raise RefusedPickle("must have texts or integers as keys, has others")
    return dict(zip(keys, values, strict=True))


# Instructions by their byte, as `pickletools` of the standard library documents them.
_ACTIONS: dict[int, Callable[[_Machine], Any]] = {
    # protocol 0 and 1
    ord("("): lambda m: m.push(_MARK),
    ord("0"): lambda m: m.stack.pop(),
    ord("1"): lambda m: m.pop_to_mark(),
    ord("2"): lambda m: m.push(m.stack[-1]),
    ord("F"): lambda m: m.push(float(m.line())),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    ord("I"): lambda m: m.push(m.number()),
    ord("L"): lambda m: m.push(m.number()),
    ord("J"): lambda m: m.push(m.signed(4)),
    ord("K"): lambda m: m.push(m.unsigned(1)),
    ord("M"): lambda m: m.push(m.unsigned(2)),
    ord("N"): lambda m: m.push(None),
    ord("S"): lambda m: m.push(m.quoted()),
    ord("T"): lambda m: m.push(m.counted(4).decode("latin-1")),
    ord("U"): lambda m: m.push(m.counted(1).decode("latin-1")),
    ord("V"): lambda m: m.push(m.long_line().decode("raw-unicode-escape")),
    ord("X"): lambda m: m.push(m.counted(4).decode("utf-8")),
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.pop_to_mark())),
    ord("]"): lambda m: m.push([]),
    ord("l"): lambda m: m.push(m.pop_to_mark()),
    ord("a"): lambda m: m.extend([m.pop()]),
    ord("e"): lambda m: m.extend(m.pop_to_mark()),
    ord("}"): lambda m: m.push({}),
    ord("d"): lambda m: m.push(_pairs(m.pop_to_mark())),
    ord("s"): lambda m: m.set_items(m.pop_some(2)),
    ord("u"): lambda m: m.set_items(m.pop_to_mark()),
    ord("c"): lambda m: m.name(m.line().decode("utf-8"), m.line().decode("utf-8")),
    ord("R"): lambda m: m.make(),
    ord("b"): lambda m: m.build(),
    ord("p"): lambda m: m.remember(int(m.line())),
    ord("q"): lambda m: m.remember(m.unsigned(1)),
    ord("r"): lambda m: m.remember(m.unsigned(4)),
    ord("g"): lambda m: m.recall(int(m.line())),
    ord("h"): lambda m: m.recall(m.unsigned(1)),
    ord("j"): lambda m: m.recall(m.unsigned(4)),
    # protocol 2 and 3
    0x80: lambda m: m.take(1),
    0x81: lambda m: m.make(),
    0x85: lambda m: m.push(tuple(m.pop_some(1))),
    0x86: lambda m: m.push(tuple(m.pop_some(2))),
    0x87: lambda m: m.push(tuple(m.pop_some(3))),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x8A: lambda m: m.push(m.signed(m.unsigned(1))),
    0x8B: lambda m: m.push(m.signed(m.unsigned(4))),
    ord("B"): lambda m: m.push(m.counted(4)),
    ord("C"): lambda m: m.push(m.counted(1)),
    # protocol 4 and 5
    0x8C: lambda m: m.push(m.counted(1).decode("utf-8")),
    0x8D: lambda m: m.push(m.counted(8).decode("utf-8")),
    0x8E: lambda m: m.push(m.counted(8)),
    0x8F: lambda m: m.push([]),
    0x90: lambda m: m.extend(m.pop_to_mark()),
    0x91: lambda m: m.push(m.pop_to_mark()),
    0x93: lambda m: m.name(*m.pop_some(2)),
    0x94: lambda m: m.remember_next(),
    0x95: lambda m: m.take(8),
    0x96: lambda m: m.push(m.counted(8)),
}

_REFUSED = {
    ord("P"): "a persistent id",
    ord("Q"): "a persistent id",
    ord("i"): "an old-style object",
    ord("o"): "an old-style object",
    0x82: "an extension code",
    0x83: "an extension code",
    0x84: "an extension code",
    0x92: "an object with keyword arguments",
    0x97: "a buffer from outside",
    0x98: "a buffer from outside",
}
