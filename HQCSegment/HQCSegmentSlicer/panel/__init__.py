"""The sections of the panel, in the order of work; each knows its own widgets and nothing of the others.

Nothing here imports a package that Slicer does not have before the user has installed it in section 1.
"""
