"""WebHDFS's requests are read as HDFS reads them, and its errors have HDFS's form."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from oastfs.wire.webhdfs import DEFAULT_USER, JavaError, WebRequest, encode_error, refuse_scripts, status_of


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("", "/"),
        ("/", "/"),
        ("/a/b/", "/a/b"),
        ("//a//b", "/a/b"),
        ("/a%20b/c+d%25e;f", "/a b/c+d%e;f"),
        ("/%C3%BC/%E6%BC%A2", "/ü/漢"),
        ("/a%3Fb%23c%26d", "/a?b#c&d"),
        ("/%2525", "/%25"),
    ],
)
def test_paths_are_decoded_once(raw: str, path: str) -> None:
    assert WebRequest("GET", f"/webhdfs/v1{raw}?op=OPEN").path == path


@pytest.mark.parametrize(
    ("target", "java_class"),
    [
        ("/elsewhere", "java.lang.IllegalArgumentException"),
        ("/webhdfs/v1/%FF", "java.lang.IllegalArgumentException"),
        ("/webhdfs/v1/a?x=%FF", "java.lang.IllegalArgumentException"),
        ("/webhdfs/v1/a/../b", "org.apache.hadoop.fs.InvalidPathException"),
        ("/webhdfs/v1/a%00b", "org.apache.hadoop.fs.InvalidPathException"),
        ("/webhdfs/v1suffix", "org.apache.hadoop.fs.InvalidPathException"),
    ],
)
def test_what_is_no_request_is_refused(target: str, java_class: str) -> None:
    with pytest.raises(JavaError) as caught:
        WebRequest("GET", target)
    assert caught.value.java_class == java_class
    assert status_of(java_class) == 400


def test_parameters() -> None:
    asked = WebRequest(
        "PUT",
        "/webhdfs/v1/f?Op=create&OverWrite=TRUE&permission=1755&blocksize=1024&length=-1&empty=&x=a+b%2B"
        "&xattr.name=user.a&xattr.name=user.b&renameoptions=none,overwrite",
    )
    assert (asked.op, asked.method) == ("CREATE", "PUT")
    assert asked.flag("overwrite", False) is True and asked.flag("createparent", True) is True
    assert asked.permission("permission") == 0o1755 and asked.permission("none") is None
    assert asked.number("blocksize", 0) == 1024 and asked.number("length", 5) == -1
    assert asked.text("empty", "default") == "default"
    assert asked.text("x") == "a b+"
    assert asked.texts("xattr.name") == ["user.a", "user.b"]
    assert asked.names("renameoptions") == ["NONE", "OVERWRITE"] and asked.names("flag") == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("overwrite", "x", 'Failed to parse "x" to Boolean.'),
        ("blocksize", "x", 'Failed to parse "x" as a radix-10 long integer.'),
        ("replication", "x", 'Failed to parse "x" as a radix-10 short integer.'),
        ("permission", "999", 'Failed to parse "999" as a radix-8 short integer.'),
        ("permission", "7777", "Invalid parameter range: permission = 7777 > 1777"),
        ("offset", "-1", "Invalid parameter range: offset = -1 < 0"),
        ("replication", "0", "Invalid parameter range: replication = 0 < 1"),
        ("destination", "rel", 'Invalid parameter value: destination = "rel" is not an absolute path.'),
        ("createflag", "create,bad", "No enum constant org.apache.hadoop.fs.CreateFlag.BAD"),
        ("renameoptions", "WRONG", "No enum constant org.apache.hadoop.fs.Options.Rename.WRONG"),
        ("fsaction", "zzz", 'Invalid value: "zzz" does not belong to the domain [r-][w-][x-]'),
        (
            "user.name",
            "bad name!",
            'Invalid value: "bad name!" does not belong to the domain ^[A-Za-z_][A-Za-z0-9._-]*[$]?$',
        ),
        (
            "aclspec",
            "user:x:rwz",
            'Invalid value: "user:x:rwz" does not belong to the domain ^(default:)?(user|group|mask|other):'
            "[[A-Za-z_][A-Za-z0-9._-]]*:([rwx-]{3})?(,(default:)?(user|group|mask|other):"
            "[[A-Za-z_][A-Za-z0-9._-]]*:([rwx-]{3})?)*$",
        ),
    ],
)
def test_what_hdfs_says_of_bad_values(name: str, value: str, problem: str) -> None:
    asked = WebRequest("PUT", f"/webhdfs/v1/f?op=CREATE&{name}={value}")
    with pytest.raises(JavaError) as caught:
        asked.check()
    assert caught.value.java_class == "java.lang.IllegalArgumentException"
    assert str(caught.value) == f'Invalid value for webhdfs parameter "{name}": {problem}'


def test_good_values() -> None:
    WebRequest(
        "PUT",
        "/webhdfs/v1/f?offset=0&accesstime=-1&aclspec=user::rwx,default:group:a.b-c:,mask::---&flag=create"
        "&user.name=bob.b$&permission=0&replication=32767&whatever=%20&overwrite=",
    ).check()


def test_a_missing_parameter_is_told() -> None:
    with pytest.raises(JavaError, match="Required param destination for op: RENAME is null or empty"):
        WebRequest("PUT", "/webhdfs/v1/f?op=RENAME").required("destination")


@pytest.mark.parametrize(
    ("query", "user"),
    [("", DEFAULT_USER), ("&user.name=bob", "bob"), ("&user.name=bob&doas=eve", "eve")],
)
def test_who_asks(query: str, user: str) -> None:
    assert WebRequest("GET", f"/webhdfs/v1/?op=OPEN{query}").user == user


def test_a_redirect_leads_to_the_same_request() -> None:
    asked = WebRequest(
        "PUT",
        "/webhdfs/v1/%C3%BC%20b/c+d%25;?op=CREATE&overwrite=true&noredirect=true&doas=eve&user.name=bob",
    )
    url = urlsplit(asked.at("dn-1", 9864, "nn-1:8020"))
    assert url.netloc == "dn-1:9864"
    again = WebRequest("PUT", f"{url.path}?{url.query}")
    assert again.path == asked.path == "/ü b/c+d%;"
    assert (again.op, again.user, again.text("user.name")) == ("CREATE", "eve", "bob")
    assert again.flag("overwrite", False) and not again.text("noredirect")
    assert again.text("namenoderpcaddress") == "nn-1:8020"
    assert urlsplit(asked.at("::1", 9864, "nn-1:8020")).netloc == "[::1]:9864"


@pytest.mark.parametrize(
    ("java_class", "status"),
    [
        ("java.io.FileNotFoundException", 404),
        ("java.io.IOException", 403),
        ("java.lang.SecurityException", 403),
        ("org.apache.hadoop.security.AccessControlException", 403),
        ("java.lang.IllegalArgumentException", 400),
        ("org.apache.hadoop.HadoopIllegalArgumentException", 400),
        ("java.lang.UnsupportedOperationException", 400),
        ("java.lang.NullPointerException", 500),
    ],
)
def test_the_status_of_an_error(java_class: str, status: int) -> None:
    assert status_of(java_class) == status


def test_the_body_of_an_error() -> None:
    name = "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException"
    assert json.loads(encode_error(name, "too long")) == {
        "RemoteException": {
            "exception": "PathComponentTooLongException",
            "javaClassName": name,
            "message": "too long",
        }
    }


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({"User-Agent": "curl"}, True),
        ({"Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Mode": "cors"}, False),
        ({"Sec-Fetch-Mode": "same-origin"}, False),
        ({"Sec-Fetch-Mode": "navigate", "Origin": "http://elsewhere"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_pages_in_browsers_are_not_served(headers: dict[str, str], served: bool) -> None:
    if served:
        refuse_scripts(headers)
        return
    with pytest.raises(JavaError, match="scripts in browsers"):
        refuse_scripts(headers)
