"""Read a pickle without running it.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the file names. This one
calls nothing: a callable that the file asks for must be on the caller's list, and applying it only leaves a `Call`
node behind, which the caller interprets. So no code can run, and what a file can allocate is bounded by its own
length (lengths are checked before a slice is taken, the memo is a dictionary, the number of opcodes is capped).

Opcodes: CPython's `pickletools`, protocols 2 to 5 without the class-building ones, which no data file needs.
"""

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from common.errors import DataError

# A hundred times the largest public file. One opcode costs a byte in the file and up to 56 bytes here, so this,
# not the length of the file, is what keeps a file of nothing but empty lists from eating the memory.
MAX_OPCODES = 10_000_000
_STOP = ord(".")
# How files begin that are given in place of a pickle.


@dataclass(frozen=True, slots=True)
class Global:
    """A callable the file names, `module.attribute`."""

    name: str


@dataclass(slots=True)
class Call:
    """A callable applied to arguments, then maybe given a state (`BUILD`). Nothing was called."""

    name: str
    args: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True, slots=True)
class Persistent:
    """A reference to something kept outside the pickle (torch keeps tensor storages there)."""

    key: Any


class _Mark:
    """Where a run of stacked items begins."""


class PickleMachine:
    """One pass over one pickle. `position` is where the next byte is read."""

    def __init__(self, data: bytes, allowed: Collection[str], where: str, position: int = 0) -> None:
        self.data, self.allowed, self.where, self.position = data, allowed, where, position
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.opcodes = 0

    def run(self) -> Any:
        """The object the pickle describes: None, bool, int, float, str, bytes, list, tuple, dict and the nodes above.

        Raises DataError naming `where`, the byte and the reason for everything that is malformed or not allowed.
        """
        while True:
            self.opcodes += 1
            if self.opcodes > MAX_OPCODES:
                raise self.refused(f"more than {MAX_OPCODES:,} pickle opcodes")
            opcode = self.take(1)[0]
            if opcode == _STOP:
                return self.pop()
            step = _STEPS.get(opcode)
            if step is None:
                raise self.refused(f"unexpected pickle opcode {bytes([opcode])!r}")
            step(self)

    def refused(self, reason: str) -> DataError:
        return DataError(f"{self.where}: {reason} (at byte {self.position:,}): copy it again, or name another file")

    def take(self, length: int) -> bytes:
        end = self.position + length
        if length < 0 or end > len(self.data):
            raise self.refused(f"ends too early: {length:,} bytes wanted, {len(self.data) - self.position:,} left")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def text(self, length: int) -> str:
        try:
            # surrogatepass as CPython writes it
            return self.take(length).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.refused(f"text that is not UTF-8: {error.reason}") from error

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + 256)
        if end < 0:
            raise self.refused("a name without an end")
        name = self.take(end - self.position + 1)[:-1]
        return name.decode("latin1")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _Mark:
            raise self.refused("takes from an empty stack")
        return self.stack.pop()

    def drop(self) -> None:
        self.pop()

    def pop_marked(self) -> list[Any]:
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _Mark:
                items = self.stack[start + 1 :]
                del self.stack[start:]
                return items
        raise self.refused("takes from an empty stack")

    def pop_tuple(self, length: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(length)]))

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise self.refused(f"expected a {kind.__name__} to fill")
        return self.stack[-1]

    def remember(self, slot: int) -> None:
        self.push(value := self.pop())
        self.memo[slot] = value

    def recall(self, slot: int) -> None:
        if slot not in self.memo:
            raise self.refused(f"recalls memo {slot}, which was never set")
        self.push(self.memo[slot])

    def ask(self, module: Any, attribute: Any) -> None:
        name = f"{module}.{attribute}"
        if name not in self.allowed:
            raise self.refused(f"asks to call {name[:80]}, which a data file has no business with; not loaded")
        self.push(Global(name))

    def apply(self) -> None:
        args = self.pop()
        callee = self.pop()
        if not isinstance(callee, Global) or not isinstance(args, tuple):
            raise self.refused("applies something that is no callable")
        self.push(Call(callee.name, args))

    def build(self) -> None:
        state = self.pop()
        call = self.top(Call)
        if call.state is not None:
            raise self.refused("sets the state of one object twice")
        call.state = state

    def fill(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        if len(items) % 2 or not all(isinstance(key, str | bytes | int) for key in items[::2]):
            raise self.refused("a dictionary whose keys are not text or numbers")
        target.update(zip(items[::2], items[1::2], strict=True))


def read_pickle(data: bytes, allowed: Collection[str], where: str) -> Any:
    """Interpret a whole pickle; `allowed` holds the callables it may mention as `module.attribute`."""
    return PickleMachine(data, allowed, where).run()


def _protocol(machine: PickleMachine) -> None:
    if (protocol := machine.number("<B")) > 5:
        raise machine.refused(f"pickle protocol {protocol}")


def _frame(machine: PickleMachine) -> None:
    if machine.number("<Q") > len(machine.data) - machine.position:
        raise machine.refused("ends too early: a frame reaches past the end of the file")


def _long(machine: PickleMachine) -> None:
    machine.push(int.from_bytes(machine.take(machine.number("<B")), "little", signed=True))


def _stack_global(machine: PickleMachine) -> None:
    module, attribute = machine.pop_tuple(2)
    machine.ask(module, attribute)


def _append(machine: PickleMachine) -> None:
    item = machine.pop()
    machine.fill([item])


def _set_item(machine: PickleMachine) -> None:
    machine.set_items(list(machine.pop_tuple(2)))


_STEPS: dict[int, Callable[[PickleMachine], None]] = {
    ord(opcode): step
    for opcode, step in {
        b"\x80": _protocol,
        b"\x95": _frame,
        b"(": lambda m: m.push(_Mark),
        b"0": lambda m: m.drop(),
        b"N": lambda m: m.push(None),
        b"\x88": lambda m: m.push(True),
        b"\x89": lambda m: m.push(False),
        b"J": lambda m: m.push(m.number("<i")),
        b"K": lambda m: m.push(m.number("<B")),
        b"M": lambda m: m.push(m.number("<H")),
        b"\x8a": _long,
        b"G": lambda m: m.push(m.number(">d")),
        b"T": lambda m: m.push(m.take(m.number("<i"))),
        b"U": lambda m: m.push(m.take(m.number("<B"))),
        b"X": lambda m: m.push(m.text(m.number("<I"))),
        b"\x8c": lambda m: m.push(m.text(m.number("<B"))),
        b"\x8d": lambda m: m.push(m.text(m.number("<Q"))),
        b"B": lambda m: m.push(m.take(m.number("<I"))),
        b"C": lambda m: m.push(m.take(m.number("<B"))),
        b"\x8e": lambda m: m.push(m.take(m.number("<Q"))),
        b"\x96": lambda m: m.push(m.take(m.number("<Q"))),
        b"\x98": lambda m: None,  # READONLY_BUFFER: bytes are read-only here already
        b"]": lambda m: m.push([]),
        b"a": _append,
        b"e": lambda m: m.fill(m.pop_marked()),
        b"l": lambda m: m.push(m.pop_marked()),
        b")": lambda m: m.push(()),
        b"t": lambda m: m.push(tuple(m.pop_marked())),
        b"\x85": lambda m: m.push(m.pop_tuple(1)),
        b"\x86": lambda m: m.push(m.pop_tuple(2)),
        b"\x87": lambda m: m.push(m.pop_tuple(3)),
        b"}": lambda m: m.push({}),
        b"s": _set_item,
        b"u": lambda m: m.set_items(m.pop_marked()),
        b"q": lambda m: m.remember(m.number("<B")),
        b"r": lambda m: m.remember(m.number("<I")),
        b"\x94": lambda m: m.remember(len(m.memo)),
        b"h": lambda m: m.recall(m.number("<B")),
        b"j": lambda m: m.recall(m.number("<I")),
        b"c": lambda m: m.ask(m.line(), m.line()),
        b"\x93": _stack_global,
        b"R": lambda m: m.apply(),
        b"b": lambda m: m.build(),
        b"Q": lambda m: m.push(Persistent(m.pop())),
    }.items()
}
