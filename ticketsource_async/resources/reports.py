"""The reports of a box office: many calls, made over the limiter as bulk, and what `reports` makes of the answers."""

from ticketsource_async.resources.base import Resource


class Reports(Resource):
    """Sales, door lists and donations; read-only. All calls are bulk, and patient."""
