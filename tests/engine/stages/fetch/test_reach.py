"""Which addresses are refused, and who has opted out: told from what is written, without a network."""

from __future__ import annotations

import pytest

from fld_engine.engine.stages.fetch.answer import Answer, host_of, opted_out, same_address
from fld_engine.engine.stages.fetch.reach import Networks, OptedOut


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # where clouds keep credentials
        ("100.64.0.1", False),  # shared by carriers
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),  # mapped
        ("2002:0a00:0001::1", False),  # 6to4 of 10.0.0.1
        ("64:ff9b::a9fe:a9fe", False),  # NAT64 of 169.254.169.254
        ("64:ff9b::5db8:d822", True),
    ],
)
def test_private_and_local_addresses_are_not_asked_however_they_are_written(address: str, may: bool) -> None:
    assert Networks(()).may_ask(address) is may


def test_networks_that_are_allowed_are_asked_and_no_others() -> None:
    networks = Networks(("10.0.0.0/8", "fd00::/8"))
    assert networks.may_ask("10.9.9.9")
    assert networks.may_ask("::ffff:10.9.9.9")
    assert networks.may_ask("fd00::7")
    assert not networks.may_ask("192.168.0.1")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["nofollow, noindex"], "noindex"),
        (["all", "noai, noimageai"], "noai"),
        (["googlebot: noindex"], ""),
        (["fld-engine: noai"], "noai"),
        (["googlebot: noindex, nofollow", "nofollow"], ""),
        (["unavailable_after: 25 Jun 2030 15:00:00 GMT, noai"], "noai"),
        (["unavailable_after: Tue, 25 Jun 2030 15:00:00 GMT, noai"], "noai"),
        (["max-snippet:-1"], ""),
        (["max-video-preview: -1, noai"], "noai"),
        (["noai; noimageai", 'follow "noindex"'], "noai"),
        (["none"], "none"),
        (["googlebot: none"], ""),
        ([], ""),
    ],
)
def test_a_header_of_robots_is_honoured_where_it_speaks_to_us(headers: list[str], said: str) -> None:
    assert opted_out(headers, ("noai", "noimageai", "noindex"), "fld-engine (+https://example.org)") == said


def test_a_host_that_opted_out_is_out_with_all_below_it_and_its_namesakes_are_not() -> None:
    hosts = OptedOut(["Example.org", "*.photos.net", "# nobody", ""])
    assert [hosts.has(one) for one in ("example.org", "a.b.EXAMPLE.org.", "photos.net", "x.photos.net")] == [True] * 4
    assert [hosts.has(one) for one in ("notexample.org", "example.org.evil.com", "net")] == [False] * 3


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://User:pw@Example.org:8080/a", "example.org"),
        ("http://[::1]:80/x", "[::1]"),
        ("  HTTP://a.b/c", "a.b"),
        ("http://a?b", "a"),
        ("ftp://a/b", ""),
        ("a.jpg", ""),
    ],
)
def test_addresses_of_a_host_are_dealt_together_however_they_are_written(address: str, host: str) -> None:
    assert host_of(address) == host


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("http://a.b/c#d", " HTTP://A.b:80/c#e ", True),
        ("https://a.b", "https://a.b:443/", True),
        ("http://a.b?q", "http://a.b/?q", True),
        ("http://a.b/c", "http://a.b/C", False),
        ("http://a.b/c", "https://a.b/c", False),
        ("http://a.b:443/", "http://a.b/", False),
        ("http://u:P@a.b/", "http://u:p@a.b/", False),
        ("no address", "No address", False),
    ],
)
def test_equal_addresses_are_known_however_they_are_written(address: str, other: str, same: bool) -> None:
    assert (same_address(address) == same_address(other)) is same


def test_what_may_pass_is_told_from_what_is_final() -> None:
    may = ["timeout", "dns", "connection", "incomplete", "status_500", "status_503", "status_429", "status_408"]
    final = [
        "",
        "status_404",
        "status_403",
        "not_an_image",
        "opted_out",
        "too_large",
        "hash_differs",
        "private_address",
    ]
    assert all(Answer(reason=reason).may_pass for reason in may)
    assert not any(Answer(reason=reason).may_pass for reason in final)
