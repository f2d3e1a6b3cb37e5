"""How many workers a release gets: demand and cost in, a number with its reasons out. Pure.

Belongs here: the readings of demand (`arrivals`) and of what serving it costs (`service`, `cost`),
the wait that follows from them (`queue`), the decision (`policy`), its place in the control loop
(`roles`) and what the costs say about other loads (`plan`). May not be here: asking a machine what
it has. Capacity follows the host's clock, also where a deployment runs on event time.
"""
