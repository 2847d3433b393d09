"""jailctl: the daemon's API at the command line. It knows the API and nothing else of jaild."""
