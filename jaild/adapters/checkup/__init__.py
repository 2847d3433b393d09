"""Gathering the facts that `jaild.domain.checkup` decides about. Nothing here changes anything on the host."""
