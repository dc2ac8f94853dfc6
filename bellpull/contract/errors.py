"""The one error that reading a message can raise."""

__all__ = ["ContractError"]


class ContractError(ValueError):
    """Bytes or values that are no message of this contract.

    Attributes:
        path: where in the message, such as `data.repository.host`; empty for the whole.
        problem: what is wrong there, in words that repeat nothing of the value.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem
