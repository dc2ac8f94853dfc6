"""How many files, connections among them, the process may have open at once.

Most systems begin a program with 1,024 although they would give it more: the soft limit is for programs that cannot
count beyond, the hard one is what there is. It is taken up to a bound, as some systems give 2^30, and programs that
are started from here may close one after the other all that could be open.
"""

import resource
from contextlib import suppress
from typing import Final

__all__ = ["MOST", "allow"]

MOST: Final = 65_536
"""What is taken, where the system gives more."""


def allow(most: int = MOST) -> int:
    """Take as many as the system gives, `most` at most, and return how many there may be; never takes fewer."""
    now, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(ValueError, OSError):  # the kernel has a limit of its own below what it said
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if now == resource.RLIM_INFINITY else now
