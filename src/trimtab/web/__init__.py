"""The admin listener: JSON API and dashboard, one file per page.

Belongs here: routes, each with a declared access policy, templates, server-side SVG and live
updates.

Does not belong here: logic, the inference protocol (`gateway`), or anything loaded from another
host.
"""
