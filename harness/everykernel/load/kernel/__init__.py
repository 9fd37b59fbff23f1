"""What this kernel is: its types, symbols, configuration and abilities, probed and never told by its version.

Knows the system alone.

This package travels to the guest: standard library only, Python 3.9.
"""
