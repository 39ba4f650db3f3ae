"""The reports of a box office: sales, door lists and donations. The modules make rows of records, without any call."""
