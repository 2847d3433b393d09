"""The manual pages, of what the programs themselves say: commands and options, settings and fields, exit statuses."""
