"""The operations of the API, in groups: one file for each family of records.

A method says which path, which draft and which model; everything else happens below. What every call can raise is in
`errors.py`.
"""
