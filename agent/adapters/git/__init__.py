"""Git by libgit2: shallow mirrors of remotes, which may be thrown away at any time (satisfies the port `Git`).

`mirrors` has the threads and the turns, `mirror` one remote's folder, `conversation` a connection to a server,
`history` and `reader` what is in a mirror.
"""

from agent.adapters.git.mirrors import Mirrors

__all__ = ["Mirrors"]
