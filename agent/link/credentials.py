"""Whom the agent trusts to be the API, and who it says that it is: certificates, and a token that may be rotated."""

import ssl
from pathlib import Path

import certifi

from agent import settings
from agent.config import Config
from agent.errors import ConfigError, LinkDown
from agent.link.proxy import proxy_for
from agent.log import Log

log = Log("link")


class Token:
    """The current token: `value`, or what the file at `path` holds, which is read again when it changes."""

    def __init__(self, value: str | None, path: Path | None) -> None:
        self._value = value
        self._path = path
        self._watch = settings.FileWatch(path)
        self._problem = ""

    def current(self) -> str:
        """The token to send now. Raises LinkDown if the file holds none that can be used, and never did."""
        if self._path is not None and (self._watch.changed() or self._value is None):
            self._read(self._path)
        if self._value is None:
            hint = "Put this cluster's token there: it is read as soon as it is right."
            raise LinkDown(f"the token file {str(self._path)!r} {self._problem}", hint, refused=True)
        return self._value

    def reread(self) -> None:
        """Forget what was read: the API has refused it. The next `current` reads the file whatever its date says."""
        self._watch.forget()

    def _read(self, path: Path) -> None:
        problem = ""
        try:
            self._value = settings.token(path.read_text("utf-8", errors="replace"))
        except OSError as error:
            problem = f"can't be read: {error.strerror}."
        except ConfigError as error:
            problem = error.problem
        if problem not in ("", self._problem) and self._value is not None:
            log.warning("token file can't be used, the old token stays", file=str(path), reason=problem)
        self._problem = problem


def tls_context(config: Config) -> ssl.SSLContext:
    """The one TLS context: the system's CAs or the configured one, and the client's certificate if there is one.
    Where all is plain http it trusts nobody: it is never used, and the system's CAs would cost 3 MB. Raises ConfigError
    if a certificate file can't be used.
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
        problem = f"KUBENTLY_CA_CERT: {str(config.ca_cert)!r} can't be used as a CA ({_reason(error)})."
        raise ConfigError(problem, "It must hold whole certificates as PEM.") from error
    if config.client_cert is not None:
        try:
            # The empty password keeps OpenSSL from asking for one at a terminal.
            context.load_cert_chain(config.client_cert, config.client_key, password="")
        except OSError as error:
            files = f"{str(config.client_cert)!r} and its key {str(config.client_key or 'inside')!r}"
            problem = f"KUBENTLY_CLIENT_CERT: {files} can't be used ({_reason(error)})."
            raise ConfigError(problem, "They must be whole PEM, belong together, and have no passphrase.") from error
    return context


def _reason(error: OSError) -> str:
    """The reason in plain words: OpenSSL's own are for its developers."""
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    return error.reason.lower().replace("_", " ") if error.reason else "its PEM is damaged"
