"""Maps in the kernel: created, read and written as plain data, their buffers consumed, their variables by name.

Knows the kernel; nothing of programs and of what they are attached to.

This package travels to the guest: standard library only, Python 3.9.
"""
