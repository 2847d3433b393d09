"""What jaild brings for Salt: found by its loader through the entry point `salt.loader`."""
