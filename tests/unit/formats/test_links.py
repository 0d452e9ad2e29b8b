import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.formats.links import ALLOWED_SCHEMES, safe_url


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/a?b=c#d",
        "http://[::1]:8000/",
        "mailto:a@example.com",
        "/a",
        "a/b:c",
        "?q=a:b",
        "#a:b",
        "//host/a",
    ],
)
def test_web_mail_and_relative_addresses_are_let_through(address: str) -> None:
    assert safe_url(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " \tjavascript:alert(1)",
        "\x01javascript:alert(1)",
        "java\tscript:alert(1)",
        "java\nscript:alert(1)",
        "java\x00script:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://example.com/1",
        "javascript&colon;:alert(1)",
        ":",
        "",
        "  ",
        None,
        7,
        {"href": "https://example.com"},
    ],
)
def test_nothing_else_is(address: object) -> None:
    assert safe_url(address) is None


def test_spaces_and_controls_are_encoded() -> None:
    assert safe_url("/a b\x00\x7f\u0085c") == "/a%20b%00%7F%C2%85c"


@given(st.text(alphabet=st.sampled_from("javscriptdemlo:/?#& \t\n\r\x00\x01\x1f\u00a0AJ%"), max_size=30))
def test_what_is_let_through_has_an_allowed_scheme_or_none_for_a_browser(address: str) -> None:
    let_through = safe_url(address)
    if let_through is not None:
        # As browsers do: no tabs and newlines anywhere, no controls or spaces in front.
        seen = "".join(c for c in let_through if c not in "\t\n\r").lstrip("".join(map(chr, range(0x21))))
        scheme, colon, _ = seen.partition(":")
        is_scheme = bool(colon) and scheme.isascii() and scheme[:1].isalpha() and not set("/?#") & set(scheme)
        assert not is_scheme or scheme.lower() in ALLOWED_SCHEMES
