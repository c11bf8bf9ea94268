"""``python -m sklearn_symfed.cli`` is ``symfed``."""

from __future__ import annotations

from sklearn_symfed.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
