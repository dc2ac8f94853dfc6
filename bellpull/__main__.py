"""`python -m bellpull`: the command, where it is not on the path."""

from bellpull.cli import main

main()
