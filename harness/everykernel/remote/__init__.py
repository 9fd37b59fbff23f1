"""A machine from afar: the far end of the door of `load/system` is a small static program, this is its near one.

Knows the door and a stream of bytes, not how that reaches the machine. What comes over it is believed no more than a
guest is: one gate, lengths and bounds checked, a deadline for all.
"""
