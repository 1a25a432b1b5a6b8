"""What ``mount.oastfs`` makes of the arguments that mount(8) gives it."""

from __future__ import annotations

import pytest

from oastfs.cli.mount_helper import main, translate

PLACES = ["oastfs://nn:8020", "/mnt"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], []),
        (["-o", "rw"], []),
        (["-n", "-v", "-o", "ro,noatime,_netdev,x-systemd.requires=network.target"], ["--read-only"]),
        (["-o", "ro,passthrough"], ["--read-only", "--passthrough"]),
        (["-o", "allow_other,cache_seconds=0.5"], ["--allow-other", "--cache-seconds=0.5"]),
        (["-o", "log=/var/log/a=b", "-o", "binding=kernel"], ["--log=/var/log/a=b", "--binding=kernel"]),
        (["-o", "locks=local"], ["--locks=local"]),
        (["-t", "oastfs", "-o", "noallow_other,,defaults"], ["--no-allow-other"]),
        (["-s", "-o", "acl,ro"], ["--read-only"]),
        (["-sn", "-o", "acl=1"], []),
    ],
)
def test_translation(options: list[str], expected: list[str]) -> None:
    assert translate([*PLACES, *options]) == ["mount", *expected, *PLACES]
    assert translate([*options, *PLACES]) == ["mount", *expected, *PLACES]


def test_a_pretended_mount_is_none() -> None:
    assert translate([*PLACES, "-fn"]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "two places"),
        (PLACES[:1], "two places"),
        ([*PLACES, "/more"], "two places"),
        ([*PLACES, "-o"], "-o wants a value"),
        ([*PLACES, "-o", "acl"], "option acl is not supported"),
        ([*PLACES, "-o", "suid"], "option suid is not supported"),
        ([*PLACES, "-o", "log"], "option log is not supported"),
        ([*PLACES, "-o", "remount,ro"], "unmount it first"),
        ([*PLACES, "-s", "-o", "remount"], "unmount it first"),
        ([*PLACES, "-N", "5"], "namespace"),
        ([*PLACES, "-q"], "unknown argument -q"),
    ],
)
def test_what_is_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=message):
        translate(arguments)
    monkeypatch.setattr("sys.argv", ["mount.oastfs", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert message in capsys.readouterr().err
