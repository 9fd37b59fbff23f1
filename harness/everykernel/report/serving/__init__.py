"""A local page over a folder of runs: their list, what each cell was over time, and each run's own page.

`runs` reads the folder, `history` lays runs side by side, `pages` makes the HTML, `server` answers; it writes nothing.
"""
