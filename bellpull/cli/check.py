"""`bellpull check`: says what is wrong with a configuration, or in the way, and what to do about it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bellpull.cli.failure import FailureError, explained
from bellpull.cli.output import Output

if TYPE_CHECKING:
    from bellpull.cli.finding import Finding

__all__ = ["check"]

_GATEWAY: Final = Path("gateway.yaml")
_AGENT: Final = Path("agent.yaml")


def check(
    gateway: Annotated[
        Path | None, typer.Option("--gateway", envvar="BELLPULL_GATEWAY_CONFIG", help="A gateway's configuration.")
    ] = None,
    agent: Annotated[
        Path | None, typer.Option("--agent", envvar="BELLPULL_AGENT_CONFIG", help="An agent's configuration.")
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="table or json.")] = Output.TABLE,
) -> None:
    """Say what is wrong with gateway.yaml or agent.yaml (of this folder, if none is named), or in the way."""
    if gateway is None and agent is None:
        gateway = _GATEWAY if _GATEWAY.exists() else None
        agent = _AGENT if _AGENT.exists() else None
    if gateway is None and agent is None:
        raise FailureError("neither gateway.yaml nor agent.yaml is in this folder: name one by --gateway or --agent")
    with explained():
        findings = _look(gateway, agent)
    print(_as_json(findings) if output is Output.JSON else _as_table(findings))
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _look(gateway: Path | None, agent: Path | None) -> "list[Finding]":
    findings: list[Finding] = []
    if gateway is not None:
        from bellpull.cli import check_gateway

        findings += check_gateway.look(gateway)
    if agent is not None:
        from bellpull.cli import check_agent

        findings += check_agent.look(agent)
    return findings


def _as_json(findings: "list[Finding]") -> str:
    import orjson

    rows = [{"ok": each.ok, "what": each.what, "found": each.found, "do": each.do} for each in findings]
    return orjson.dumps(
        {"ok": all(each.ok for each in findings), "checks": rows}, option=orjson.OPT_INDENT_2
    ).decode()


def _as_table(findings: "list[Finding]") -> str:
    return "\n".join(line for finding in findings for line in _rows(finding))


def _rows(finding: "Finding") -> list[str]:
    mark = _coloured("ok    ", "32") if finding.ok else _coloured("FAILED", "31")
    found = f": {finding.found}" if finding.found else ""
    return [f"{mark}  {finding.what}{found}", *([f"        -> {finding.do}"] if finding.do else [])]


def _coloured(text: str, colour: str) -> str:
    plain = os.environ.get("NO_COLOR") or not os.isatty(1)
    return text if plain else f"\x1b[{colour}m{text}\x1b[0m"
