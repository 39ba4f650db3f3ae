"""What to do after a failed call: the last sentence of the message of each error of an attempt; pure."""

from enum import StrEnum


class Advice(StrEnum):
    """The advice for each reason why an attempt failed."""

    DATA = "Correct the data and call again."
    KEY = "Check the API key: it is wrong, revoked or of another account."
    PERMISSION = "The API key is valid but may not do this: ask the owner of the account."
    ID = "Check the id: the record may have been deleted, or belong to another box office."
    RATE_LIMIT = "Wait before the next call: the API allows 240 requests a minute."
    OVERLOADED = "The server is overloaded or under repair: try again later."
    SERVER = "The fault is at TicketSource: try again later."
    OTHER_STATUS = "The API does not document this status: check the call, or ask TicketSource support."
    FIREWALL = (
        "The API key may be good. Ask TicketSource support for the user agent that they give to integrators, and pass "
        "it as user_agent or in TICKETSOURCE_USER_AGENT."
    )
    INVALID = "If it happens again, report it to the maintainers of this library."
    LOST = "Try again later."
    SLOW = "The API or the network is slow: try again later."
    DEADLINE = "Try again later, or with a longer deadline."
    SESSION = "Check the settings of the session."
    NOT_HTTP = "Check base_url, and the proxy if there is one."
    CERTIFICATE_DATE = (
        "The certificate of the server has expired, or is not valid yet: check the clock of this machine."
    )
    CERTIFICATE_NAME = "The certificate is of a server with another name: check base_url."
    CERTIFICATE = (
        "The certificate of the server is not trusted here. If a proxy of your company, or a server of your own, uses "
        "it, set SSL_CERT_FILE to a file with the certificate of its issuer before you start the program."
    )
    PROXY_LOGIN = "The proxy asks for a user name and a password: set HTTPS_PROXY to http://user:password@host:port."
    PROXY = "Check the proxy. To use no proxy, set NO_PROXY (the command: --no-proxy)."
    NETWORK = (
        "Check the network and the name of the server. If you need a proxy, set HTTPS_PROXY (in a program also "
        "trust_env=True)."
    )


def without_advice(error: Exception) -> str:
    """Return the message of an error without its advice, for a message that has an advice of its own."""
    text = str(error)
    return next((text.removesuffix(advice).rstrip() for advice in Advice if text.endswith(advice)), text)
