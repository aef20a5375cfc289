"""What the documents say of results: every sentence derived from the committed figures, none standing by itself.

A paragraph of results is a function here that yields its sentences (`telling`), each made of figures (`figures`) and
true only while its conditions hold. In a document it stands between ``<!-- says: NAME -->`` and ``<!-- end -->``, and
``python tools/results_table.py`` writes it there. `coverage` finds sentences that look like results outside of such
marks; what is none although it looks so stands in `plain`, with what it is instead.
"""
