"""What the module shares with 3D Slicer: nodes, child processes, dependencies.

Importing this package loads nothing else; `nodes` and `logic` need HQCSegmentLib and its dependencies.
"""
