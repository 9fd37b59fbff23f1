"""What runs inside the guest: the agent that serves the host's requests.

This package travels to the guest: standard library and pyelftools only, Python 3.9.
"""
