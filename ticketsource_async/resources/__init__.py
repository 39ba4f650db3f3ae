"""The operations of the API, in groups: one file for each family of records.

A method chooses the path, the draft and the model; the modules below do the rest. `errors.py` has the errors that every
call can raise.
"""
