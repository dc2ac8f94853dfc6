"""`make cluster`: a control plane for a person, until Ctrl-C."""

import signal
import sys
import tempfile
from pathlib import Path

from tests.parts import control_plane
from tests.parts.control_plane import ControlPlane


def main() -> int:
    """Start one, print how to use it, and wait."""
    control_plane.obtain(_say)
    programs = control_plane.find()
    if programs is None:
        _say(f"there is no control plane to start; get {control_plane.GET}")
        return 1
    with tempfile.TemporaryDirectory(prefix="bellpull-cluster-") as folder:
        plane = ControlPlane(programs, Path(folder))
        _say("starting")
        try:
            plane.start()
            _say(f"an API server without nodes; export KUBECONFIG={plane.kubeconfig}; Ctrl-C ends it")
            sys.stdout.write(f"{plane.kubeconfig}\n")
            sys.stdout.flush()
            signal.pause()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _say("ending")
        finally:
            plane.stop()
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
