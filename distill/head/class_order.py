"""A random order of all classes, of which any part is computed by itself, on the device and in fixed shapes.

A Feistel network over a x b numbers (Black, Rogaway: Ciphers with Arbitrary Finite Domains, CT-RSA 2002), whose round
functions are tables of Philox words: a step draws 8 sqrt(C) words instead of C, and what it does not ask for is never
computed.
"""

import math

import torch
from torch import Tensor

from common.faces import signed_words

STREAM_CLASS_SAMPLE = 5
# Four make an order that few looks cannot tell from chance (Luby, Rackoff 1988), each more demands more looks.
_ROUNDS = 8


class ClassOrder:
    """An order of C classes, a function of (seed, step) alone.

    a * b is C or up to a - 1 more: so many numbers in the order are no classes, C or above.
    """

    def __init__(self, classes: int, seed: int, step: int | Tensor, device: torch.device) -> None:
        """step: a tensor () as well, so that a captured graph can be replayed for others."""
        self._a = math.isqrt(classes - 1) + 1
        self._b = -(-classes // self._a)
        self.spare = self._a * self._b - classes
        blocks = torch.arange(-(-_ROUNDS * self._a // 4), device=device)
        words = torch.stack(signed_words(seed, STREAM_CLASS_SAMPLE, blocks, step), 1).flatten()
        # The left half is moved in even rounds, the right one in odd rounds. int32 takes half the time of int64.
        self._moves = [
            ((words[n * self._a : (n + 1) * self._a] * (self._b if n % 2 else self._a)) >> 32).int()
            for n in range(_ROUNDS)
        ]

    def __len__(self) -> int:
        return self._a * self._b

    def first(self, count: int) -> Tensor:
        """int64 (count,): what comes first in the order."""
        places = torch.arange(count, dtype=torch.int32, device=self._moves[0].device)
        left, right = places // self._b, places % self._b
        for number, move in enumerate(self._moves):
            if number % 2:
                right = _wrapped(move.index_select(0, left).add_(right).sub_(self._b), self._b)
            else:
                left = _wrapped(move.index_select(0, right).add_(left).sub_(self._a), self._a)
        return left.long() * self._b + right

    def places(self, classes: Tensor) -> Tensor:
        """int64 (n,): where in the order classes (n,) come."""
        left, right = (classes // self._b).int(), (classes % self._b).int()
        for number, move in reversed(list(enumerate(self._moves))):
            if number % 2:
                right = _wrapped(right - move.index_select(0, left), self._b)
            else:
                left = _wrapped(left - move.index_select(0, right), self._a)
        return left.long() * self._b + right


def _wrapped(x: Tensor, modulus: int) -> Tensor:
    """x mod modulus for -modulus <= x < modulus, in place: on a CPU a third of the time of `where`, a tenth of `%`."""
    return x.add_((x >> 31).bitwise_and_(modulus))
