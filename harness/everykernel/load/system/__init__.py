"""The machine below, behind one door: `System`, its system calls with their buffers, its files, its byte order.

Knows nothing of objects, and nobody else knows how the machine is reached.

This package travels to the guest: standard library only, Python 3.9.
"""
