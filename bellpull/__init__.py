"""bellpull: a push to Git rings a bell; agents that nobody can reach from outside hear it, and pull."""

__all__ = ["__version__"]

__version__ = "0.1.0"
