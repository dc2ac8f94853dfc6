"""One pure module for each Git provider; `PROVIDERS` is the list."""
