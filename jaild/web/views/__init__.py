"""What the daemons said, as values for the templates. Pure: messages and the time in, values out."""
