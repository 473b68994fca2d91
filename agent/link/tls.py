"""TLS to the API: whom the agent trusts, the certificate that it presents, and why a handshake failed."""

import ssl

import certifi
import trio

from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.link.proxy import proxy_for


def tls_context(config: Config) -> ssl.SSLContext:
    """The one TLS context: the system's CAs or the configured one, and the client's certificate if there is one.

    Where all is plain http it trusts nobody: it is never used, and the system's CAs would cost 3 MB.

    Raises:
        ConfigError: a certificate file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # A CA that isn't a root, or the server's own certificate, is trusted as it is: so do curl, Go and kubectl.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not f"{config.api_url} {proxy_for(config.api_url)}".count("https:"):
        return context
    try:
        paths = ssl.get_default_verify_paths()
        if config.ca_cert is None and (paths.cafile or paths.capath):
            context.set_default_verify_paths()  # honours SSL_CERT_FILE and SSL_CERT_DIR
        else:
            context.load_verify_locations(config.ca_cert or certifi.where())
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"KUBENTLY_CA_CERT: {str(config.ca_cert)!r} can't be used as a CA ({_reason(error)}).",
            "It must hold whole certificates as PEM.",
        ) from error
    if config.client_cert is not None:
        try:
            # The empty password keeps OpenSSL from asking for one at a terminal.
            context.load_cert_chain(config.client_cert, config.client_key, password="")
        except OSError as error:
            raise ConfigError(
                f"KUBENTLY_CLIENT_CERT: {str(config.client_cert)!r} and its key {str(config.client_key or 'inside')!r} "
                f"can't be used ({_reason(error)}).",
                "They must be whole PEM, belong together, and have no passphrase.",
            ) from error
    return context


def handshake_failure(error: BaseException, words: str, seconds: float) -> LinkDown:
    """The error for a handshake that failed, or didn't end within so many seconds. `words` are the system's."""
    cause = error.__cause__
    if isinstance(error, trio.TooSlowError):
        hint = "The connection is there but no TLS comes: look at load balancers and firewalls that inspect TLS."
        return LinkDown(f"no end of the TLS handshake within {seconds:g} s", hint)
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "`kubently-agent check` says whose it is. Name its CA, or the certificate itself, with KUBENTLY_CA_CERT."
        return LinkDown(f"the API's certificate isn't trusted: {cause.verify_message}", hint)
    reason = getattr(cause, "reason", None) or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        hint = "Is it the port of plain http? Look at KUBENTLY_API_URL."
        return LinkDown("what answers there doesn't speak TLS", hint)
    words = reason.replace("_", " ").lower() or words
    hint = "A firewall that inspects TLS does this, and an API that wants a client certificate (KUBENTLY_CLIENT_CERT)."
    return LinkDown(f"the TLS handshake failed: {words}", hint)


def _reason(error: OSError) -> str:
    """The reason in plain words: OpenSSL's own are for its developers."""
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    return error.reason.lower().replace("_", " ") if error.reason else "its PEM is damaged"
