"""GitHub pushes as they come: 7 to 8 KB of JSON, most of it URLs that nobody needs, signed."""

from typing import Any, Final

import orjson

from tests.gateway.github import headers, payload

__all__ = ["request"]

_URLS: Final = (
    "forks keys collaborators teams hooks issue_events events assignees branches tags blobs git_tags git_refs trees "
    "statuses languages stargazers contributors subscribers subscription commits git_commits comments issue_comment "
    "contents compare merges archive downloads issues pulls milestones notifications labels releases deployments"
)
_PLACE: Final = b"<delivery>"


def _body(number: int) -> bytes:
    """Return a push of six commits to one of eight refs of one of eight repositories."""
    name = f"acme/site-{number % 8}"
    after = f"{number + 1:040x}"
    api = f"https://api.github.com/repos/{name}"
    value = payload(ref=f"refs/heads/team-{number // 8}", after=after, compare=f"https://github.com/{name}/compare/x")
    value["repository"] |= {"full_name": name, "clone_url": f"https://github.com/{name}.git"}
    value["repository"] |= {"ssh_url": f"git@github.com:{name}.git", "html_url": f"https://github.com/{name}"}
    value["repository"] |= {f"{word}_url": f"{api}/{word}{{/{word}}}" for word in _URLS.split()}
    value["commits"] = [_commit(name, f"{number + 1 - back:040x}") for back in range(5, -1, -1)]
    value["head_commit"] = value["commits"][-1]
    return orjson.dumps(value)


def _commit(name: str, commit: str) -> dict[str, Any]:
    ada = {"name": "Ada", "email": "ada@example.org", "username": "ada"}
    return {
        "id": commit,
        "tree_id": commit[::-1],
        "distinct": True,
        "message": "Say hello in one more language, and keep the list of them in order",
        "timestamp": "2026-03-01T12:00:00+01:00",
        "url": f"https://github.com/{name}/commit/{commit}",
        "author": ada,
        "committer": ada,
        "added": [],
        "removed": [],
        "modified": ["public/index.html", "public/languages.html"],
    }


def _request(body: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of the delivery before and after its id."""
    fields = [b"Host: gateway", b"Accept: */*", b"Content-Length: %d" % len(body)]
    fields += [b"%s: %s" % (key, _PLACE if key == b"X-GitHub-Delivery" else value) for key, value in headers(body)]
    head = b"\r\n".join([b"POST /hooks/github HTTP/1.1", *fields, b"", b""])
    before, _, after = head.partition(_PLACE)
    return before, after + body


_REQUESTS: Final = tuple(_request(_body(number)) for number in range(64))


def request(number: int, sender: str) -> bytes:
    """Return delivery `number` of `sender`, whole and signed; no other has its id."""
    before, after = _REQUESTS[number % len(_REQUESTS)]
    return b"%s%s-%012d%s" % (before, sender.encode(), number, after)
