"""Files of the host that travel to a guest: programs with what they need to start, folders, single files.

They are read and pushed, never run: what a program needs is what its ELF headers say.
"""
