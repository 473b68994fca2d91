"""The one TLS context: whom the agent trusts to be the API, and as whom it presents itself."""

import ssl

import certifi

from agent.config import Config
from agent.errors import ConfigError


def tls_context(config: Config) -> ssl.SSLContext:
    """The one TLS context: the system's CAs or the configured one, and the client's certificate if there is one.

    For a plain http URL it trusts nobody: it is never used, and the system's CAs would cost 3 MB.

    Raises:
        ConfigError: a certificate file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A CA that isn't a root, or the server's own certificate, is trusted as it is: so do curl, Go and kubectl.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not config.api_url.startswith("https:"):
        return context
    try:
        if config.ca_cert is not None:
            context.load_verify_locations(config.ca_cert)
        else:
            _trust_system(context)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"KUBENTLY_CA_CERT: {str(config.ca_cert)!r} can't be used as a CA ({_reason(error)}).",
            "It must hold whole certificates as PEM.",
        ) from error
    if config.client_cert is not None:
        try:
            # The empty password keeps OpenSSL from asking for one at a terminal.
            context.load_cert_chain(config.client_cert, config.client_key, password="")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"KUBENTLY_CLIENT_CERT: {str(config.client_cert)!r} and its key {str(config.client_key or 'inside')!r} "
                f"can't be used ({_reason(error)}).",
                "They must be whole PEM, belong together, and have no passphrase.",
            ) from error
    return context


def _reason(error: OSError) -> str:
    """In words: OpenSSL's own are for its developers."""
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    return error.reason.lower().replace("_", " ") if error.reason else "its PEM is damaged"


def _trust_system(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.set_default_verify_paths()  # honours SSL_CERT_FILE and SSL_CERT_DIR
    else:
        context.load_verify_locations(certifi.where())
