"""The operations of the API, in groups named after the first segment of their path.

A method says which path, which draft and which model; everything else happens below. What every call can raise is in
`errors.py`.
"""
