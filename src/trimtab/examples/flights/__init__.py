"""A year of flights from New York: the data, a project that learns from it, and what can go wrong.

`data` reads the public files into requests and labels, `faults` breaks a feed at its source,
`project` holds the files of a user's project, and `bad` the features module of a release whose
mistake no offline test finds. Nothing here knows when, or whether, the system under test will
notice.
"""
