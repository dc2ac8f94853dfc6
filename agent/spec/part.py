"""What the parts of a Sync share: how its fields are written and checked."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from bellpull.runtime.config import Settings

__all__ = ["Label", "Part", "SecretName", "pattern"]

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def pattern(expression: str, means: str) -> AfterValidator:
    """Return a check that all of a text fits `expression`; `means` says what is wrong where it does not."""

    def check(value: str) -> str:
        if not re.fullmatch(expression, value):
            raise ValueError(means)
        return value

    return AfterValidator(check)


Label = Annotated[
    str,
    pattern(_LABEL, "is not a name of a-z, 0-9 and '-' in between, up to 63 characters"),
    WithJsonSchema({"type": "string", "pattern": f"^{_LABEL}$"}),
]
SecretName = Annotated[
    str,
    pattern(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", "is not the name of a secret: a-z, 0-9, '-' and '.'"),
]


class Part(Settings):
    """A part of a document: camelCase, as in Kubernetes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)
