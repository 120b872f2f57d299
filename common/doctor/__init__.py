"""Is this machine ready? What is installed and found here, what is wrong with it, and what to do about each.

    python -m common.doctor        (make doctor)

`found` looks, and never fails; `judge` and `lines` are pure functions of what was found.
"""

__all__ = ()
