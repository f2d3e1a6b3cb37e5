"""What the benchmarks of the request path share: load, servers, measurement.

Belongs here: the load generator (a process of its own), the peers and how each is started, the
reading of processor time and memory, and the words for what was measured. May not: import a model
library outside `models`, or anything of a peer outside `apps`, whose files run in the peers' own
environments and import nothing from here.
"""
