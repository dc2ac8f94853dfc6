"""The address in the log and in the list: the socket's, unless a trusted proxy says whose it was."""

from pathlib import Path

import pytest

from tests.gateway.github import payload
from tests.gateway.process import TOKEN, Folder, ask, deliver

CASES = (
    pytest.param("[]", "203.0.113.7", "127.0.0.1", id="nobody is trusted"),
    pytest.param("[10.0.0.0/8]", "203.0.113.7", "127.0.0.1", id="somebody else is"),
    pytest.param("[127.0.0.1]", "6.6.6.6, 203.0.113.7", "203.0.113.7", id="the proxy is"),
    pytest.param("[127.0.0.0/8]", "\u2028evil", "127.0.0.1", id="what it says is no address"),
)


@pytest.mark.parametrize(("proxies", "forwarded", "logged"), CASES)
def test_who_is_named_in_the_log_and_in_the_list(tmp_path: Path, proxies: str, forwarded: str, logged: str) -> None:
    folder = Folder(tmp_path)
    config = (tmp_path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace("listen: {", f"listen: {{trusted_proxies: {proxies}, "))
    fields = {"X-Forwarded-For": forwarded.encode().decode("latin-1")}
    with folder.running() as gateway:
        assert deliver(gateway.hooks, payload(), fields).status == 202
        assert deliver(gateway.hooks, payload(), fields, secret=b"another").status == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(f"{gateway.agents}/v1/events", fields=fields | bearer).status == 401
        [listed] = ask(f"{gateway.console}/api/v1/rejections").json()["rejections"]
        assert gateway.stop() == 0
    said = [line["remote"] for line in folder.lines() if "remote" in line]
    assert [*said, listed["address"]] == [logged] * 4
