"""The console transcripts of README and docs: run on hosts in memory, and written where they stand.

`python -m tests.transcripts` (`make docs`) runs them all and writes what they print. On a page a block is

    <!-- transcript: NAME -->
    ```console
    $ jailctl jail ls
    ```

Its commands stand there, its output is written. A story (`tests.transcripts.stories`) makes the hosts of the blocks of
its name, and what happens between them. Real are: the daemon's rooms, its API on a socket, jailctl. Not real: ZFS, the
runtime, the network between hosts, and the clock, so that a second run prints the same to the letter.
"""
