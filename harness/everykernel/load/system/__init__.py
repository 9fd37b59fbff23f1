"""The machine below: system calls with the layout of their arguments.

Knows nothing of objects.

This package travels to the guest: standard library only, Python 3.9.
"""
