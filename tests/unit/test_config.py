"""Configuration: what a person gets told, and that everything is told at once."""

import os
import stat

import pytest

from agent.config import SETTINGS, Config, unknown_variables
from agent.errors import ConfigError


@pytest.fixture
def environ(tmp_path):
    return {
        "KUBENTLY_API_URL": "https://api.example.com/",
        "CLUSTER_ID": "prod-eu-1",
        "KUBENTLY_TOKEN": "s3cret-token",
        "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool" / "spool.db"),
    }


def problems(environ):
    with pytest.raises(ConfigError) as caught:
        Config.from_environ(environ)
    mistakes = caught.value.mistakes
    assert all(mistake.problem.endswith(".") and mistake.hint for mistake in mistakes)
    assert str(caught.value) == "\n".join(f"{mistake.problem} {mistake.hint}" for mistake in mistakes)
    return str(caught.value).splitlines()


def test_the_four_of_the_specification_are_enough(environ):
    config = Config.from_environ(environ)
    assert config.api_url == "https://api.example.com"
    assert config.cluster_id == "prod-eu-1"
    assert config.token == "s3cret-token"
    assert config.log_level == "INFO"
    assert config.link == "poll"
    assert config.executors == 4
    assert config.spool_max_bytes == 256 << 20
    assert config.kubectl_home == config.spool_path.parent / "kubectl"


def test_nothing_is_made(environ, tmp_path):
    Config.from_environ(environ)
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_missing_is_said_at_once():
    found = problems({"KUBENTLY_SPOOL_PATH": "~/spool.db"})
    assert [p.split()[0].rstrip(":") for p in found] == [
        "KUBENTLY_API_URL",
        "CLUSTER_ID",
        "KUBENTLY_SPOOL_PATH",
        "KUBENTLY_TOKEN",
    ]


def test_an_empty_variable_is_a_missing_one(environ):
    environ["CLUSTER_ID"] = "  "
    assert problems(environ) == [
        "CLUSTER_ID is not set. It must give this cluster's name at the API, such as prod-eu-1."
    ]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KUBENTLY_API_URL", "api.example.com", "has no http:// or https:// in front"),
        ("KUBENTLY_API_URL", "ftp://api.example.com", "has no http:// or https://"),
        ("KUBENTLY_API_URL", "https://", "names no host"),
        ("KUBENTLY_API_URL", "https://user:pw@host", "holds a user or password"),
        ("KUBENTLY_API_URL", "https://host?a=b", "has a '?' or '#'"),
        ("KUBENTLY_API_URL", "https://host:x", "isn't a URL"),
        ("KUBENTLY_API_URL", "https://[::1", "isn't a URL"),
        ("KUBENTLY_API_URL", '"https://host"', "is in quotes"),
        ("CLUSTER_ID", "'prod'", "is in quotes"),
        ("KUBENTLY_SPOOL_PATH", "/", "is a folder"),
        ("KUBENTLY_SPOOL_PATH", "/etc/passwd/spool.db", "can't be written by user"),
        ("KUBENTLY_SPOOL_PATH", "~/spool.db", "begins with ~, which only a shell replaces"),
        ("KUBENTLY_SPOOL_PATH", ":memory:", "names no file"),
        ("KUBENTLY_SPOOL_PATH", "file:spool.db?mode=memory", "names no file"),
        ("KUBENTLY_TOKEN_FILE", "~/token", "begins with ~"),
        ("KUBENTLY_API_URL", "https://höst", "a letter beyond ASCII"),
        ("KUBENTLY_API_URL", "http://api.example.com", "KUBENTLY_ALLOW_HTTP=true"),
        ("CLUSTER_ID", "two words", "one word"),
        ("CLUSTER_ID", "a\nX-Evil: 1", "one word"),
        ("LOG_LEVEL", "LOUD", "none of DEBUG, INFO, WARNING, ERROR"),
        ("LOG_FORMAT", "xml", "none of json, text"),
        ("KUBENTLY_LINK", "carrier-pigeon", "none of poll, stream"),
        ("KUBENTLY_EXECUTORS", "0", "from 1 to 64"),
        ("KUBENTLY_EXECUTORS", "٣", "from 1 to 64"),
        ("KUBENTLY_EXECUTORS", "2.5", "whole number"),
        ("KUBENTLY_SPOOL_MAX_BYTES", "12Tb", "whole number from 4Mi to 1024Gi"),
        ("KUBENTLY_MAX_OUTPUT_BYTES", "200Mi", "more than half of KUBENTLY_SPOOL_MAX_BYTES"),
        ("KUBENTLY_RETENTION_SECONDS", "nan", "is out of range"),
        ("KUBENTLY_RETENTION_SECONDS", "soon", "number of seconds from 60 to 31536000"),
        ("KUBENTLY_COMMAND_TIMEOUT_MAX", "0", "from 1 to 3600"),
        ("KUBENTLY_ALLOW_HTTP", "maybe", "neither true nor false"),
        ("KUBENTLY_HEALTH_ADDRESS", "8080", "ADDRESS:PORT"),
        ("KUBENTLY_HEALTH_ADDRESS", ":8080", "ADDRESS:PORT"),
        ("KUBENTLY_HEALTH_ADDRESS", "localhost:99999", "ADDRESS:PORT"),
        ("KUBENTLY_CA_CERT", "/no/such/ca.pem", "can't be read: No such file"),
        ("KUBENTLY_POLICY_FILE", "/no/such/policy.toml", "can't be read"),
        ("KUBENTLY_KUBECONFIG", "/no/such/config", "can't be read"),
        ("KUBENTLY_SSL_VERIFY", "False", "KUBENTLY_CA_CERT"),
        ("KUBENTLY_WHITELIST_CONFIG", "/etc/kubently/whitelist.yaml", "KUBENTLY_POLICY_FILE"),
    ],
)
def test_each_mistake_has_its_own_sentence(environ, name, value, says):
    environ[name] = value
    if name == "KUBENTLY_TOKEN_FILE":
        del environ["KUBENTLY_TOKEN"]
    (problem,) = problems(environ)
    assert problem.startswith(name)
    assert says in problem


def test_the_token_is_never_in_a_sentence_nor_in_the_repr(environ):
    environ["KUBENTLY_TOKEN"] = "my secret"
    (problem,) = problems(environ)
    assert problem.startswith("KUBENTLY_TOKEN: holds no token: that is one word")
    assert "secret" not in problem
    environ["KUBENTLY_TOKEN"] = "s3cret-token"
    config = Config.from_environ(environ)
    assert "s3cret" not in repr(config)
    assert "s3cret" not in repr(config.effective())
    assert config.effective()["KUBENTLY_TOKEN"] == "(set)"


def test_two_tokens_are_one_too_many(environ, tmp_path):
    (tmp_path / "token").write_text("other\n")
    environ["KUBENTLY_TOKEN_FILE"] = str(tmp_path / "token")
    (problem,) = problems(environ)
    assert "both set" in problem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("two words", "holds no token"),
        ("schlüssel", "holds no token"),
        ("to\0ken", "holds no token"),
        ("\ufefftoken", "holds no token"),
        ('"token"', "without quotes"),
    ],
)
def test_a_token_file_with_nothing_useful_in_it(environ, tmp_path, content, says):
    del environ["KUBENTLY_TOKEN"]
    (tmp_path / "token").write_text(content)
    environ["KUBENTLY_TOKEN_FILE"] = str(tmp_path / "token")
    (problem,) = problems(environ)
    assert says in problem


def test_a_token_file_that_is_no_file(environ, tmp_path):
    del environ["KUBENTLY_TOKEN"]
    environ["KUBENTLY_TOKEN_FILE"] = str(tmp_path)
    (problem,) = problems(environ)
    assert "can't be read: Is a directory" in problem


def test_a_key_needs_a_certificate(environ, tmp_path):
    (tmp_path / "key").write_text("a key")
    environ["KUBENTLY_CLIENT_KEY"] = str(tmp_path / "key")
    (problem,) = problems(environ)
    assert "without KUBENTLY_CLIENT_CERT" in problem


@pytest.mark.parametrize(
    "url", ["https://me:pa55@host", "ftp://me:pa55@host", "me:pa55@host", "https://me:pa55@host:x"]
)
def test_a_password_in_the_url_isnt_repeated(environ, url):
    environ["KUBENTLY_API_URL"] = url
    (problem,) = problems(environ)
    assert "pa55" not in problem


def test_variables_that_nothing_reads():
    """Kubernetes sets some for each Service of the namespace, which may be called like the agent."""
    names = ["KUBENTLY_COMAND_TIMEOUT_MAX", "KUBENTLY_API_URL", "KUBENTLY_SSL_VERIFY", "KUBENTLY_API_PORT", "PATH"]
    names += ["KUBENTLY_API_PORT_80_TCP_ADDR", "KUBENTLY_API_SERVICE_HOST", "KUBENTLY_API_SERVICE_PORT_HTTP"]
    assert unknown_variables(dict.fromkeys(names, "x")) == ["KUBENTLY_COMAND_TIMEOUT_MAX"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cant_be_written_as_a_user(environ, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    (problem,) = problems(environ)
    assert "can't be written by user" in problem


def test_a_folder_that_cant_be_written(environ, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    (problem,) = problems(environ)
    assert "can't be written by user" in problem
    assert "fsGroup" in problem


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1:8000/prefix/", "http://[::1]:80"])
def test_loopback_may_be_plain_http(environ, url):
    environ["KUBENTLY_API_URL"] = url
    assert Config.from_environ(environ).api_url == url.rstrip("/")


def test_plain_http_elsewhere_when_it_is_allowed(environ):
    environ |= {"KUBENTLY_API_URL": "http://api.internal", "KUBENTLY_ALLOW_HTTP": "yes"}
    assert Config.from_environ(environ).allow_http


def test_readers_of_values(environ):
    environ |= {"KUBENTLY_SPOOL_MAX_BYTES": "1Gi", "KUBENTLY_HEALTH_ADDRESS": "[::]:9", "KUBENTLY_ALLOW_HTTP": "off"}
    environ |= {"KUBENTLY_LINK": "STREAM", "KUBENTLY_HEARTBEAT_INTERVAL": "60", "LOG_LEVEL": "debug"}
    config = Config.from_environ(environ)
    assert config.spool_max_bytes == 1 << 30
    assert config.health_address == ("::", 9)
    assert not config.allow_http
    assert config.link == "stream"
    assert config.heartbeat_seconds == 60
    assert config.log_level == "DEBUG"


def test_a_path_is_absolute_from_now_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SETTINGS["spool_path"].read({"KUBENTLY_SPOOL_PATH": "y.db"}) == tmp_path / "y.db"


@pytest.mark.parametrize(
    ("most", "output"), [("4Mi", 512 << 10), ("16Mi", 2 << 20), ("79Mi", 79 << 17), ("1Gi", 10 << 20)]
)
def test_the_output_follows_a_small_spool(environ, most, output):
    environ["KUBENTLY_SPOOL_MAX_BYTES"] = most
    assert Config.from_environ(environ | {"KUBENTLY_MAX_OUTPUT_BYTES": "1Mi"}).max_output_bytes == 1 << 20
    config = Config.from_environ(environ)
    assert config.max_output_bytes == output


def test_the_scheme_in_capitals_is_the_same(environ):
    environ["KUBENTLY_API_URL"] = "HTTPS://api.example.com/prefix/"
    assert Config.from_environ(environ).api_url == "https://api.example.com/prefix"


def test_every_setting_fills_a_field_and_says_what_it_means():
    fields = set(Config.__dataclass_fields__)
    assert set(SETTINGS) == fields
    assert all(s.meaning.endswith(".") for s in SETTINGS.values())
