"""ACL entries and extended attributes as text."""

from __future__ import annotations

import pytest

from oastfs.namenode.web.acl import action_text, entry_text, parse_action, parse_spec
from oastfs.namenode.web.xattr import decode_value, encode_value, full_name, parse_name
from oastfs.wire.webhdfs import JavaError


def test_specs_are_read_and_written_alike() -> None:
    spec = "user::rwx,user:bob:r-x,group:staff:-w-,mask::r--,other::---,default:user:eve:--x"
    assert ",".join(entry_text(entry) for entry in parse_spec(spec, permissions=True)) == spec


def test_specs_without_permissions_name_what_to_remove() -> None:
    entries = parse_spec("user:bob:,default:group:staff:,mask::", permissions=False)
    assert [entry_text(entry) for entry in entries] == [
        "user:bob:---",
        "default:group:staff:---",
        "mask::---",
    ]


@pytest.mark.parametrize(("spec", "permissions"), [("user:bob:", True), ("user:bob:rwx", False)])
def test_permissions_are_there_or_not(spec: str, permissions: bool) -> None:
    with pytest.raises(JavaError, match="Invalid <aclSpec> : user:bob:"):
        parse_spec(spec, permissions=permissions)


def test_actions() -> None:
    assert [action_text(bits) for bits in (0, 1, 5, 7)] == ["---", "--x", "r-x", "rwx"]
    assert all(parse_action(action_text(bits)) == bits for bits in range(8))


@pytest.mark.parametrize("encoding", ["text", "hex", "base64"])
def test_values_come_back(encoding: str) -> None:
    for value in (b"", b"text", "ü".encode(), b"0x"):
        assert decode_value(encode_value(value, encoding)) == value


@pytest.mark.parametrize("text", ["0xq", "0s!!"])
def test_values_that_cannot_be_decoded(text: str) -> None:
    with pytest.raises(JavaError):
        decode_value(text)


def test_names_have_a_prefix() -> None:
    assert full_name(parse_name("User.a.b")) == "user.a.b"
    for name in ("a", "other.a", ""):
        with pytest.raises(JavaError, match="must be prefixed"):
            parse_name(name)
