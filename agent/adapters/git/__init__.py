"""Git by libgit2: shallow mirrors of remotes, which may be thrown away at any time (satisfies the port `Git`).

`mirrors` has the threads and the turns, `mirror` one remote's folder, `history` and `reader` what is in it.
`conversation` is a connection to a server, `limit` until when it may last, `problems` what may go wrong with it.
"""

from agent.adapters.git.mirrors import Mirrors

__all__ = ["Mirrors"]
