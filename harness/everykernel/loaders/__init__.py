"""The real loaders beside our own: small static programs, one a library, that load an object and say what came of it.

`table` has a row a loader, `build` makes its program, `contract` is what it is asked and what it may say, `choose`
reads what the user wants, `drive` has a guest's kernel asked through one, `stages` turns answers into records.
"""
