"""Git by libgit2: shallow mirrors of remotes, which may be thrown away at any time (satisfies the port `Git`).

`mirrors` has the threads and the turns, `mirror` one remote's folder, `history` and `reader` what is in it.
`conversation` is a connection to a server, `limit` until when it may last, `problems` what may go wrong with it;
`ssh` is the way there by SSH, through a `relay`, to a server for which libgit2 has what is in `trust`.
"""

from agent.adapters.git.mirrors import Mirrors

__all__ = ["Mirrors"]
