"""`symfed`, the operator's tool: the entry point, which says what is missing where the extra is not installed.

The commands are `_app`; nothing here loads what only they need.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = ("typer", "rich", "pyarrow")


def main() -> None:
    """Run the command line; without the extra ``cli``, say how to install it and exit with 1."""
    try:
        from sklearn_symfed.cli._app import app
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(f"symfed needs {error.name}: pip install 'sklearn-symfed[cli]'\n")
        raise SystemExit(1) from None
    app()
