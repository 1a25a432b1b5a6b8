"""Random operations by several users on a namespace, each compared with a plain model in memory.

Results, error classes, times and the whole tree have to agree after every step; at the end fsck has to find
nothing. A failure prints the steps that lead to it.
"""

from __future__ import annotations

import random
import stat as _stat
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from oastfs.core.errors import OastError, StaleHandle, all_errors
from oastfs.core.types import AclEntry, AclKind, AclScope, Caller, Fault, FileStatus, RenameMode, WriteRequest
from oastfs.namenode.jobs.orphans import Orphans
from oastfs.namenode.jobs.reclaim import Reclaim
from tests.property.namespace_pair import SECOND_NS, NamespacePair
from tests.property.namespace_strategies import (
    BAD_PATHS,
    CALLERS,
    ROOT,
    acls,
    attribute_names,
    booleans,
    callers,
    contents,
    default_acls,
    holders,
    ids,
    lengths,
    modes,
    recipes,
    targets,
    times,
    writers,
)
from tests.property.namespace_walk import Step, draw_steps, fewer_steps
from tests.property.posix_acls import Acl
from tests.property.posix_model import INLINE_LIMIT, Plan, Refusal, Where


def answering(value: Any) -> Plan:
    return Plan(apply=lambda: value)


class NamespaceMachine(NamespacePair):
    """The steps."""

    # --- steps: the beginning -------------------------------------------------------------------------

    @initialize()
    def furnish(self) -> None:
        """A few directories of several users, so that the first steps find something."""
        alice, bob = CALLERS[2], CALLERS[3]
        for name, owner, mode in (("a", ROOT, 0o1777), ("b", alice, 0o775), ("c", bob, 0o2777)):
            self.step("mkdirs", ROOT, Where((name,)), mode, False, False)
            self.step("chown", ROOT, Where((name,)), owner.uid, 2000, True)
            self.step("write_file", owner, Where((name, "a")), b"content", 0o664, False, False)

    # --- steps: reading -------------------------------------------------------------------------------

    @rule(caller=callers, path=recipes, follow=booleans)
    def stat(self, caller: Caller, path: Any, follow: bool) -> None:
        self.step("stat", caller, self.where(path), follow)

    @rule(caller=callers, paths=st.lists(recipes, max_size=6), follow=booleans)
    def stat_many(self, caller: Caller, paths: list[Any], follow: bool) -> None:
        places = [self.where(path) for path in paths]
        answers = self.real.stat_many(caller, [one.text() for one in places], follow)
        self.check_batch([self.model.stat(caller, one, follow) for one in places], answers)

    @rule(caller=callers, paths=st.lists(recipes, max_size=6))
    def read_many(self, caller: Caller, paths: list[Any]) -> None:
        places = [self.where(path) for path in paths]
        answers = self.real.read_many(caller, [one.text() for one in places])
        data = [one if isinstance(one, Fault) else one.data for one in answers]
        self.check_batch([self.model.open(caller, one) for one in places], data)

    def check_batch(self, plans: list[Plan], answers: list[Any]) -> None:
        assert len(plans) == len(answers)
        for number, (plan, answer) in enumerate(zip(plans, answers, strict=True)):
            if isinstance(answer, Fault):
                self.check_error(plan, all_errors()[answer.error], f"item {number}")
            else:
                self.check_answer(plan, answer, f"item {number}")

    @rule(caller=callers, path=recipes)
    def read(self, caller: Caller, path: Any) -> None:
        where = self.where(path)
        self.compare(
            self.model.open(caller, where), lambda: self.real.open(caller, where.text()).data, where.text()
        )

    @rule(caller=callers, path=recipes)
    def readlink(self, caller: Caller, path: Any) -> None:
        self.step("readlink", caller, self.where(path))

    @rule(caller=callers, path=recipes)
    def listdir(self, caller: Caller, path: Any) -> None:
        where = self.where(path)
        plan = self.model.listdir(caller, where)
        try:
            entries = self.real.listdir(caller, where.text()).entries
        except OastError as error:
            self.check_error(plan, type(error), where.text())
            return
        self.check_batch([answering(entry) for entry in plan.apply()], entries)

    @rule(caller=callers, path=recipes, mask=st.integers(0, 7))
    def access(self, caller: Caller, path: Any, mask: int) -> None:
        self.step("access", caller, self.where(path), mask)

    @rule(caller=callers, choice=st.integers(0, 100))
    def path_of(self, caller: Caller, choice: int) -> None:
        known = [node for node in self.model.nodes if node.inode_id and not node.in_limbo]
        node = known[choice % len(known)]
        paths = {"/" + "/".join(path) for path, found in self.visible() if found is node}
        reachable = {path for path in paths if self.is_reachable(caller, path)}
        try:
            assert self.real.path_of(caller, node.inode_id) in reachable
        except StaleHandle:
            assert reachable != paths or not paths or node.limbo_names, (node.inode_id, paths)

    def is_reachable(self, caller: Caller, path: str) -> bool:
        try:
            self.model.resolve(caller, Where(tuple(path[1:].split("/")) if path != "/" else ()), False)
        except Refusal:
            return False
        return True

    # --- steps: making --------------------------------------------------------------------------------

    @rule(caller=callers, path=recipes, mode=modes, parents=booleans, exist_ok=booleans)
    def mkdirs(self, caller: Caller, path: Any, mode: int, parents: bool, exist_ok: bool) -> None:
        self.step("mkdirs", caller, self.where(path), mode, parents, exist_ok)

    @rule(
        caller=callers,
        path=recipes,
        kind=st.sampled_from([0, _stat.S_IFREG, _stat.S_IFIFO, _stat.S_IFSOCK, _stat.S_IFCHR, _stat.S_IFBLK]),
        mode=modes,
    )
    def mknod(self, caller: Caller, path: Any, kind: int, mode: int) -> None:
        self.step("mknod", caller, self.where(path), kind | mode, 259)

    @rule(caller=callers, path=recipes, leads_to=targets, parents=booleans)
    def symlink(self, caller: Caller, path: Any, leads_to: str, parents: bool) -> None:
        self.step("symlink", caller, self.where(path), leads_to, parents)

    @rule(caller=callers, path=recipes, new_path=recipes)
    def link(self, caller: Caller, path: Any, new_path: Any) -> None:
        self.step("link", caller, self.where(path), self.where(new_path))

    # --- steps: writing -------------------------------------------------------------------------------

    @rule(
        caller=callers,
        path=recipes,
        mode=modes,
        overwrite=booleans,
        parents=booleans,
        holder=holders,
        replication=st.sampled_from([0, 1, 2, 3]),
        block_size=st.sampled_from([0, 512, 4096]),
    )
    def create(
        self,
        caller: Caller,
        path: Any,
        mode: int,
        overwrite: bool,
        parents: bool,
        holder: str,
        replication: int,
        block_size: int,
    ) -> None:
        arguments = (mode, overwrite, parents, holder, replication, block_size)
        self.step("create", caller, self.where(path), *arguments)

    @rule(caller=callers, path=recipes, data=contents, mode=modes, overwrite=booleans, parents=booleans)
    def write_file(
        self, caller: Caller, path: Any, data: bytes, mode: int, overwrite: bool, parents: bool
    ) -> None:
        self.step("write_file", caller, self.where(path), data, mode, overwrite, parents)

    @rule(
        caller=callers,
        items=st.lists(st.tuples(recipes, contents, modes, booleans), max_size=5),
        parents=booleans,
    )
    def write_many(self, caller: Caller, items: list[Any], parents: bool) -> None:
        self.tick()
        wheres = [(self.where(path), *rest) for path, *rest in items]
        requests = [WriteRequest(where.text(), *rest) for where, *rest in wheres]
        answers = self.real.write_many(caller, requests, parents)
        assert len(answers) == len(wheres)
        for (where, *rest), answer in zip(wheres, answers, strict=True):
            self.check_batch([self.model.write_file(caller, where, *rest, parents)], [answer])

    @rule(
        caller=callers,
        path=recipes,
        patches=st.lists(st.tuples(st.sampled_from([0, 3, 10, 200, INLINE_LIMIT]), contents), max_size=3),
        length=st.one_of(st.just(-1), lengths),
        holder=holders,
        release=booleans,
    )
    def write_inline(
        self, caller: Caller, path: Any, patches: Any, length: int, holder: str, release: bool
    ) -> None:
        self.step("write_inline", caller, self.where(path), patches, length, holder, release)

    @rule(caller=callers, path=recipes, length=lengths)
    def truncate(self, caller: Caller, path: Any, length: int) -> None:
        self.step("truncate", caller, self.where(path), length)

    @rule(caller=callers, path=recipes, holder=writers)
    def append(self, caller: Caller, path: Any, holder: str) -> None:
        where = self.where(path)
        self.tick()
        plan = self.model.append(caller, where, holder)
        content = self.model.open(ROOT, where)

        def call() -> FileStatus:
            opened = self.real.append(caller, where.text(), holder)
            assert opened.data == content.apply()
            return opened.status

        self.compare(plan, call, f"append({where.text()!r}, {holder!r}) by {caller.user}")

    @rule(caller=callers, path=recipes, holder=writers)
    def complete(self, caller: Caller, path: Any, holder: str) -> None:
        where = self.where(path)
        self.tick()
        plan = self.model.complete(caller, where, holder)
        what = f"complete({where.text()!r}, {holder!r}) by {caller.user}"
        self.compare(plan, lambda: self.real.complete(caller, where.text(), holder, []), what)

    @rule(seconds=st.sampled_from([1, 100, 1300]))
    def wait(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND_NS

    # --- steps: changing names ------------------------------------------------------------------------

    @rule(caller=callers, old=recipes, new=recipes, mode=st.sampled_from(RenameMode), keep_for=holders)
    def rename(self, caller: Caller, old: Any, new: Any, mode: RenameMode, keep_for: str) -> None:
        self.step("rename", caller, self.where(old), self.where(new), mode, keep_for)

    @rule(caller=callers, path=recipes, keep_for=holders)
    def unlink(self, caller: Caller, path: Any, keep_for: str) -> None:
        self.step("unlink", caller, self.where(path), keep_for)

    @rule(caller=callers, path=recipes)
    def rmdir(self, caller: Caller, path: Any) -> None:
        self.step("rmdir", caller, self.where(path))

    @rule(caller=callers, path=recipes, recursive=booleans)
    def delete(self, caller: Caller, path: Any, recursive: bool) -> None:
        self.step("delete", caller, self.where(path), recursive)

    @rule(choices=st.lists(st.integers(0, 30), max_size=3), holder=holders)
    def forget(self, choices: list[int], holder: str) -> None:
        known = [node for node in self.model.nodes if node.inode_id and not node.in_limbo]
        chosen = [known[-1 - choice % len(known)] for choice in choices]
        self.real.forget(ROOT, [node.inode_id for node in chosen], holder)
        self.model.forget(chosen, holder)

    @rule()
    def reclaim(self) -> None:
        """The background job: what is in limbo goes, and names in removed trees count no more."""
        Reclaim(self.real).run_all(self.now_ns)
        Orphans(self.real).run_all(self.now_ns)
        self.model.now_ns = self.now_ns
        self.model.expire()
        for node in self.model.nodes:
            if node.limbo_names and not node.gone:
                node.limbo_names = 0
                node.ctime_ns = self.real.stat(ROOT, Where((), node).text(), False).ctime_ns
            node.limbo_names, node.in_limbo = 0, False

    # --- steps: attributes ------------------------------------------------------------------------------

    @rule(caller=callers, path=recipes, mode=modes, follow=booleans)
    def chmod(self, caller: Caller, path: Any, mode: int, follow: bool) -> None:
        self.step("chmod", caller, self.where(path), mode, follow)

    @rule(caller=callers, path=recipes, uid=ids, gid=ids, follow=booleans)
    def chown(self, caller: Caller, path: Any, uid: int, gid: int, follow: bool) -> None:
        self.step("chown", caller, self.where(path), uid, gid, follow)

    @rule(caller=callers, path=recipes, atime_ns=times, mtime_ns=times, follow=booleans, now=booleans)
    def utimes(
        self, caller: Caller, path: Any, atime_ns: int, mtime_ns: int, follow: bool, now: bool
    ) -> None:
        self.step("utimes", caller, self.where(path), atime_ns, mtime_ns, follow, now)

    @rule(
        caller=callers,
        path=recipes,
        names=st.one_of(st.none(), st.lists(attribute_names, max_size=2)),
        follow=booleans,
    )
    def get_xattrs(self, caller: Caller, path: Any, names: list[str] | None, follow: bool) -> None:
        self.step("get_xattrs", caller, self.where(path), names, follow)

    @rule(
        caller=callers,
        path=recipes,
        name=attribute_names,
        value=st.binary(max_size=4),
        create=booleans,
        replace=booleans,
        follow=booleans,
    )
    def set_xattr(
        self, caller: Caller, path: Any, name: str, value: bytes, create: bool, replace: bool, follow: bool
    ) -> None:
        self.step("set_xattr", caller, self.where(path), name, value, create, replace, follow)

    @rule(caller=callers, path=recipes, name=attribute_names, follow=booleans)
    def remove_xattr(self, caller: Caller, path: Any, name: str, follow: bool) -> None:
        self.step("remove_xattr", caller, self.where(path), name, follow)

    @rule(path=recipes, limited=booleans)
    def set_quota(self, path: Any, limited: bool) -> None:
        """A limit that is never reached: what has come and gone has to be counted rightly in the end."""
        limits = (1 << 40, 1 << 60) if limited else (-1, -1)
        try:
            self.real.set_quota(ROOT, self.where(path).text(), *limits)
        except OastError:
            pass  # no directory is there

    @rule(caller=callers, path=recipes, access=acls(), default=st.one_of(st.none(), default_acls))
    def set_acl(self, caller: Caller, path: Any, access: Acl, default: Acl | None) -> None:
        entries = access.entries(AclScope.ACCESS)
        entries += [] if default is None else default.entries(AclScope.DEFAULT)
        self.acl_step("set_acl", caller, path, (access, default), (entries,))

    @rule(caller=callers, path=recipes, uid=st.sampled_from([1001, 1002, 1003]), bits=st.integers(0, 7))
    def modify_acl(self, caller: Caller, path: Any, uid: int, bits: int) -> None:
        entries = [AclEntry(AclScope.ACCESS, AclKind.USER, uid, bits)]
        self.acl_step("modify_acl", caller, path, (uid, bits), (entries,))

    @rule(caller=callers, path=recipes)
    def remove_acl(self, caller: Caller, path: Any) -> None:
        self.acl_step("remove_acl", caller, path, (), ())

    def acl_step(
        self, verb: str, caller: Caller, path: Any, of_model: tuple[Any, ...], of_real: tuple[Any, ...]
    ) -> None:
        self.tick()
        where = self.where(path)
        plan: Plan = getattr(self.model, verb)(caller, where, *of_model)
        call = getattr(self.real, verb)
        what = f"{verb}{(where.text(), *of_model)} by {caller.user}"
        self.compare(plan, lambda: call(caller, where.text(), *of_real), what)

    # --- steps: nonsense --------------------------------------------------------------------------------

    @rule(caller=callers, bad=st.sampled_from(BAD_PATHS), data=st.data())
    def bad_path(self, caller: Caller, bad: tuple[str, type[OastError]], data: st.DataObject) -> None:
        path, error = bad
        calls: list[Callable[[], Any]] = [
            lambda: self.real.stat(caller, path),
            lambda: self.real.mkdirs(caller, path),
            lambda: self.real.write_file(caller, path, b""),
            lambda: self.real.create(caller, path, 0o644, True, True),
            lambda: self.real.rename(caller, "/a", path),
            lambda: self.real.rename(caller, path, "/a/new"),
            lambda: self.real.link(caller, "/a/a", path),
            lambda: self.real.symlink(caller, path, "x"),
            lambda: self.real.delete(caller, path, True),
            lambda: self.real.unlink(caller, path),
            lambda: self.real.rmdir(caller, path),
            lambda: self.real.listdir(caller, path),
            lambda: self.real.chmod(caller, path, 0o777),
        ]
        with pytest.raises(OastError) as caught:
            data.draw(st.sampled_from(calls))()
        # Of two paths the other may be refused first: a directory, too, cannot have a second name.
        others = ("NotFound", "NotADirectory", "PermissionDenied", "NotPermitted")
        other = type(caught.value).__name__ in others
        assert type(caught.value) is error or other


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        NamespaceMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def walk(steps: list[Step]) -> None:
    """Take both through the steps; compare the trees now and then, and at the end."""
    machine = NamespaceMachine()
    try:
        machine.furnish()
        for number, (rule_name, arguments) in enumerate(steps):
            users = {"caller": CALLERS[arguments["caller"]]} if "caller" in arguments else {}
            getattr(machine, rule_name)(**{**arguments, **users})
            if number % 4 == 0:
                machine.trees_are_equal()
        machine.trees_are_equal()
    except BaseException:
        machine.abandon()
        raise
    machine.teardown()


def fails(steps: list[Step]) -> bool:
    try:
        walk(steps)
    except Exception:
        return True
    return False


def walk_from(seed: int, count: int) -> None:
    steps = draw_steps(seed, count)
    try:
        walk(steps)
    except Exception:
        shown = "\n".join(map(str, fewer_steps(steps, fails)))
        print(f"seed {seed}, {count} steps; these suffice:\n{shown}")
        raise


def test_namespace_agrees_with_the_model() -> None:
    run(examples=60, steps=50)


@pytest.mark.parametrize("seed", range(40))
def test_random_walks(seed: int) -> None:
    walk_from(seed, 300)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_namespace_agrees_with_the_model_for_long() -> None:
    run(examples=3000, steps=100)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_many_random_walks() -> None:
    first = random.SystemRandom().randrange(1 << 32)
    for seed in range(first, first + 3000):
        walk_from(seed, 400)
