"""`jailctl web`: a page about the daemons of all contexts, served on loopback by a process of the caller.

It knows the API, as `jaild.cli` does, and nothing of the daemon. `site` watches one daemon, `views` turn what it said
into values for the templates, `gate` decides who may ask, `app` puts them together.
"""
