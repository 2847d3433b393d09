"""Every bound on what others can make this host keep, read or compute, in one place; docs/operators.md lists them.

None of them depends on the clock: what is too much today is too much on a faster machine too.
"""

from __future__ import annotations

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# What one message may have. A stream's are larger: chunks are 1 MiB by advice, a client may send larger ones.
REQUEST = MIB
STREAM_MESSAGE = 8 * MIB  # and a peer's
METADATA = 16 * KIB  # of a call
CALLS = 1000  # at a time on one connection; a client's next ones wait

# What is stored of a request. A text is clipped, so that the entry about it is still written.
REQUEST_ID = 128  # characters; a longer one is refused
AUDIT_FIELD = 256  # bytes of one field of an audit entry
AUDIT_BYTES = 64 * MIB  # of accepted calls' entries; the oldest go first
AUDIT_REFUSED_BYTES = 16 * MIB  # of refused calls' entries: they cannot push accepted ones out
AUDIT_ROWS = 1_000_000  # of each of the two kinds
HISTORY = 1000  # audit entries about one jail that its history is made of
HEALTH_OUTPUT = 2000  # characters of what a round of liveness checks said
EVENT_TEXT = 4 * KIB  # bytes of an event's message, and of each of its details
EVENT_BYTES = 64 * MIB
EVENT_ROWS = 100_000
DEAD_LETTERS = 10_000  # of one event sink; the oldest go
DEAD_LETTER_BYTES = 16 * MIB

ACCEPTED = 100  # problems that one request accepts
ACCEPTED_REASON = 500  # characters of why

# Exports of jails, which may come from anybody.
EXPORT_TEXT = 4 * MIB  # bytes of the header, and of the checksums
EXPORT_PART = 64 * MIB  # bytes of a part of a section
EXPORT_RECIPIENTS = 20  # keys that one is encrypted for
EXPORT_WINDOW = 128 * MIB  # that zstd may need to read one
PORTABLE_FILES = 2_000_000  # in the tar of a jail's data: each name is kept in memory while it is checked
UPLOAD_KEPT = 24 * 3600.0  # seconds that an upload stays to which nothing is added

# Operations.
OPERATION_TEXT = 4 * KIB  # bytes of a message, a fact, a failure's texts
OPERATION_PROBLEMS = 256 * KIB  # bytes of the problems of a plan, and of a failure
OPERATIONS = 1000  # that are done; the oldest of whoever has most are forgotten
OPERATIONS_BYTES = 32 * MIB
PLANS = 200  # of `validate_only`: in memory, beside the operations
PLANS_BYTES = 8 * MIB

# The index of a layer, whose files and package databases are of whoever made it.
CONTENT_FILES = 200_000  # files, links and libraries
CONTENT_LINKS_WORK = 1 << 30  # bytes of paths that are put together to follow a layer's links: seconds
CONTENT_BYTES = 32 * GIB  # of files that are read for their sha256
CONTENT_PROBLEMS = 100
PACKAGES = 50_000
PACKAGE_DATABASE = 128 * MIB  # bytes of one file of a package database
QUERY_STEPS = 500_000_000  # of SQLite's virtual machine for one query of it: some seconds

# What differs between two generations: a message has 4 MiB at most.
DIFF = MIB  # bytes of all diffs of /etc
DIFF_FILE = MIB  # of a file that is compared by line

# What a jail that another tool made has of its own: paths that are listed of each kind, and its tool's files.
DIFFERENCES = 1000
FOREIGN_CONFIG = MIB  # bytes of one file

# Configuration: three trees are compared by line, of which root in a jail writes one.
TREE_BYTES = 64 * MIB  # of a configuration tree's files
TREE_ENTRY = 256  # bytes that a path counts for, beside its name and content: empty files are not free
TREE_DEPTH = 64  # folders
LAYER_TREES = 32 * MIB  # of the layers' own trees that are kept in memory, since they never change
MERGE_FILE = MIB  # bytes of one file
MERGE_STEPS = 5_000_000  # comparisons of lines in all files of a tree: about a second
MERGE_CONFLICTS = 200  # that a plan shows
OWNERS = 200_000  # files of a jail, or a base, whose owners are counted
ACCOUNTS = 200  # users, and groups, of a manifest

# YAML from people: recipes, manifests, specifications. A parser in Python takes 40 microseconds for each part.
YAML_BYTES = 256 * KIB
YAML_PARTS = 5000  # keys and values
YAML_PATHS = 4 * MIB  # bytes of the paths by which mistakes are told

# Uploads, and the host's own memory on the same file system. The first three are `uploads` in jaild.yaml.
UPLOAD_EACH = 16 * GIB
UPLOADS_TOTAL = 32 * GIB
UPLOAD_RESERVE = 512 * MIB  # free space that uploads leave: more than all that the daemon itself writes there
BALLAST = 16 * MIB  # given up when the file system is full, so that journals can be written
RESERVE = 16 * MIB  # of the pool: given up when it is full, so that jails can be stopped and deleted
STAGING = 2 * MIB  # of the pool, that a change takes beside its files: snapshots, folders, records
BUILD_LOG = 4 * MIB  # of what a build's commands write; a hundred logs are kept
