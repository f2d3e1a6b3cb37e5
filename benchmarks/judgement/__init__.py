"""The judgement on real streams, beside other products and beside what is possible at all.

`streams` makes the data, `faults` injects, `alarms` holds what was raised against what was true.
`errors` is one stream, `whole` a deployment, `chunks` what products say that judge tables;
`label_free` are estimates of quality. Other products run in the environments of their own locks, as
the programs that `peers` starts.
"""
