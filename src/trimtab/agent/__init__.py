"""One machine's hands: the supervisor that starts, watches, restarts and ends processes.

Belongs here: listening sockets held across restarts, one process group per release, readiness by
golden replay, draining, resource measurement, and cleaning up after a crash.

Does not belong here: the choice of what should run (`loop`), requests (`gateway`), or the code that
runs inside a release's environment (`worker`).
"""
