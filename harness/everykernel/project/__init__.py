"""A user's repository: what can be found out about it, and the files that it needs to be tested on many kernels.

Nothing of it is run, and nothing is written but by `files.write`.
"""
