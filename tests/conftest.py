"""What every test may use, which tests run, and what is said of the parts that were not there."""

import pytest

from tests import parts, soak
from tests.github_com import free_ports
from tests.parts import control_plane as kubernetes
from tests.parts.caddy import caddy_program
from tests.parts.control_plane import control_plane, control_plane_programs, namespace
from tests.parts.git import git_programs, git_server, repository
from tests.parts.kstatus import kstatus
from tests.parts.kubectl import kubectl
from tests.parts.nginx import nginx_program
from tests.parts.npm import node_modules
from tests.parts.old_etcd import old_etcd
from tests.parts.rabbitmq import broker, rabbitmq, rabbitmq_program
from tests.parts.sshd import sshd, sshd_keys, sshd_program

__all__ = [
    "broker",
    "caddy_program",
    "control_plane",
    "control_plane_programs",
    "free_ports",
    "git_programs",
    "git_server",
    "kstatus",
    "kubectl",
    "namespace",
    "nginx_program",
    "node_modules",
    "old_etcd",
    "rabbitmq",
    "rabbitmq_program",
    "repository",
    "sshd",
    "sshd_keys",
    "sshd_program",
]

_ONLY_WHEN_ASKED_FOR = ("soak", "bench")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long ones unless they were asked for by `-m`."""
    asked = config.getoption("markexpr")
    unwanted = [mark for mark in _ONLY_WHEN_ASKED_FOR if mark not in asked]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in unwanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get what takes longer than a test may, if a test wants it."""
    wanted = any("control_plane_programs" in getattr(item, "fixturenames", ()) for item in session.items)
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if wanted and terminal is not None and not session.config.option.collectonly:
        kubernetes.obtain(terminal.write_line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what a soak found, and list the parts whose tests were skipped, and how to get them."""
    if "soak" in config.getoption("markexpr") and (lines := soak.table()):
        terminalreporter.section("soak")
        terminalreporter.write_line("\n".join(lines))
    if parts.missing:
        terminalreporter.section("tests were skipped for want of these parts", red=parts.is_ci(), yellow=True)
        for absent in sorted(parts.missing, key=lambda absent: absent.part):
            terminalreporter.write_line(f"{absent.part}: {absent.get}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where CI=true, a part that was not there is a failure."""
    if parts.missing and parts.is_ci() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
