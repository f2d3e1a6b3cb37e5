"""The fault catalogue: real rows, real models and the real control loop on virtual time.

`tables` and `sources` hold the data, `releases` the models, `world` what clients, gateways, agent
and host would do, `faults` what goes wrong, `life` one run, `scores` what came of all of them.
Nothing here may tell the judge of a fault other than by what production would show.
"""
