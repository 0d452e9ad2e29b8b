import pytest

from collabd.bridge.redis_url import TcpLink, TlsLink, UnixLink, parse
from collabd.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "kind", "seeds", "service", "link", "options"),
    [
        ("redis://a", "single", [("a", 6379)], "", TcpLink, {}),
        ("valkey://a:1/3", "single", [("a", 1)], "", TcpLink, {}),
        ("redis://[::1]:2", "single", [("::1", 2)], "", TcpLink, {}),
        ("redis://", "single", [("localhost", 6379)], "", TcpLink, {}),
        ("redis://u:p%40ss@a", "single", [("a", 6379)], "", TcpLink, {"username": "u", "password": "p@ss"}),
        ("redis://:p@a", "single", [("a", 6379)], "", TcpLink, {"password": "p"}),
        ("rediss://a?ssl_ca_certs=/ca", "single", [("a", 6379)], "", TlsLink, {"ssl_ca_certs": "/ca"}),
        ("valkeys://a", "single", [("a", 6379)], "", TlsLink, {}),
        ("unix:///run/my%20socket", "single", [("/run/my socket", 0)], "", UnixLink, {}),
        ("unix:///s?password=p", "single", [("/s", 0)], "", UnixLink, {"password": "p"}),
        ("redis+sentinel://a,b:1/main", "sentinel", [("a", 26379), ("b", 1)], "main", TcpLink, {}),
        ("valkeys+sentinel://a/ma%69n/0", "sentinel", [("a", 26379)], "main", TlsLink, {}),
        ("redis+cluster://a,[::1]:1", "cluster", [("a", 6379), ("::1", 1)], "", TcpLink, {}),
        ("rediss+cluster://:p@a", "cluster", [("a", 6379)], "", TlsLink, {"password": "p"}),
    ],
)
def test_a_url_names_servers(
    url: str, kind: str, seeds: list[tuple[str, int]], service: str, link: type, options: dict[str, str]
) -> None:
    target = parse(url)
    assert (target.kind, list(target.seeds), target.service) == (kind, seeds, service)
    assert (target.link, target.options) == (link, options)
    assert isinstance(target.connection(target.seeds[0]), link)


def test_sentinels_have_credentials_of_their_own() -> None:
    target = parse(
        "rediss+sentinel://u:p@a/main?sentinel_password=q%26&ssl_cert_reqs=none&sentinel_username=v"
    )
    assert target.options == {"username": "u", "password": "p", "ssl_cert_reqs": "none"}
    assert target.sentinel_options == {"username": "v", "password": "q&", "ssl_cert_reqs": "none"}
    sentinel = target.connection(target.seeds[0], sentinel=True)
    assert (sentinel.username, sentinel.password) == ("v", "q&")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a", "not http://"),
        ("redis+ssl://a", "not redis\\+ssl://"),
        ("unix+sentinel:///s", "not unix"),
        ("unix://", "no path"),
        ("redis://a,b", "several servers"),
        ("redis+sentinel://a", "name of the service"),
        ("redis+sentinel://a/", "name of the service"),
        ("redis://a:b", "cannot be read"),
        ("redis://a?socket_timeout=60", "unknown options: socket_timeout"),
        ("redis://a?sentinel_password=x", "password for sentinels need"),
        ("redis://a?ssl_ca_certs=/ca", "ssl_ca_certs need rediss://"),
        ("rediss://a?ssl_cert_reqs=maybe", "one of required, optional, none"),
    ],
)
def test_what_makes_no_sense_is_refused(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        parse(url)


def test_no_message_and_no_description_holds_a_password() -> None:
    for url in ("redis://u:secret@a:b", "ftp://u:secret@a", "redis://u:secret@a,b", "redis://:secret@a?x=1"):
        with pytest.raises(SettingsError) as refused:
            parse(url)
        assert "secret" not in str(refused.value)
    assert "secret" not in repr(parse("redis+sentinel://u:secret@a/m?sentinel_password=secret"))
