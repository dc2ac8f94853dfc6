"""What a process holds in memory."""

from pathlib import Path

__all__ = ["resident_mib"]


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process (`VmRSS`), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no VmRSS")
