"""The proof of a release against the bases' own linkers, on real packages: `python -m tests.truth`."""
