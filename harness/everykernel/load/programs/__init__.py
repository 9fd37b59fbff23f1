"""From an object to programs that the kernel takes: decided, relocated, linked, loaded, and why it refuses them.

Knows loaded objects and all below; nothing below knows how a program came to be.

This package travels to the guest: standard library only, Python 3.9.
"""
