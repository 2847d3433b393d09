"""`python -m jaild`."""

from __future__ import annotations

from jaild.main import main

main()
