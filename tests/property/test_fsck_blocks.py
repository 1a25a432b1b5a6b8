"""Random writers, failures and jobs on one file's blocks, with replicas that hold real bytes.

After every step whatever readers are offered has to be what was committed: each replica of a block that
nobody is writing holds the same bytes, and they are bytes that some writer put there. While an update is
unfinished its bytes may show or not, as in POSIX; so the model keeps the values that a unit of bytes may
have, and settles on the one that is seen. At the end everything comes to rest: no replica is
lost or left over, and fsck finds nothing.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from oastfs.core.errors import (
    BlockNotFound,
    InvalidArgument,
    LeaseConflict,
    LeaseExpired,
    NoDatanodes,
    StaleBlock,
)
from oastfs.core.types import SUPERUSER, BlockCommit, LocatedBlock
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import check
from oastfs.namenode.jobs import all_jobs
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.schema import REPLICA, DatanodeCommand
from tests.harness.fleet import Fleet, Node

UNIT = 64
BLOCK_UNITS = 8
FILE_UNITS = 2 * BLOCK_UNITS
SECOND_NS = 10**9
PATH = "/f"
HOLDERS = ("one", "two", "three")

holders = st.sampled_from(HOLDERS)
units = st.integers(0, FILE_UNITS - 1)
starts = st.sampled_from(range(0, FILE_UNITS, BLOCK_UNITS // 2))
picks = st.integers(0, 10)
dirty_units = st.lists(st.integers(0, BLOCK_UNITS - 1), min_size=1, max_size=3)
reaches = st.sampled_from([9, 9, 9, 9, 1, 0])
fates = st.sampled_from(["commit", "commit", "commit and go on", "leave", "leave"])


class ByteNode(Node):
    """A datanode whose replicas hold bytes; the rules of stamps are those of docs/architecture.md."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.contents: dict[int, bytearray] = {}
        self.rotten: set[int] = set()
        """Blocks whose bytes do not match their checksums: readers and copiers notice."""

    def set_up(self, block: LocatedBlock) -> bool:
        """Open a pipeline: cut to what is committed, take the new stamp; False if fenced or gone."""
        held = self.ledger.get(block.block_id)
        if not self.running or (held is None and block.committed_stamp):
            return False
        if held is not None and held[0] >= block.generation_stamp:
            return False
        content = self.contents.setdefault(block.block_id, bytearray())
        del content[block.length :]
        self.ledger[block.block_id] = (block.generation_stamp, len(content))
        return True

    def put(self, block: LocatedBlock, unit: int, value: int) -> bool:
        """Write one unit; False if the pipeline was superseded or the datanode is gone."""
        held = self.ledger.get(block.block_id)
        if not self.running or held is None or held[0] != block.generation_stamp:
            return False
        content = self.contents[block.block_id]
        if len(content) < unit * UNIT:
            content.extend(bytes(unit * UNIT - len(content)))
        content[unit * UNIT : (unit + 1) * UNIT] = bytes([value]) * UNIT
        self.ledger[block.block_id] = (held[0], len(content))
        return True

    def _copy(self, block_id: int, command: DatanodeCommand) -> None:
        for target_id in command.targets:
            target = self.fleet.by_storage(target_id)
            assert isinstance(target, ByteNode)
            if target.running and block_id in self.contents:
                assert block_id not in self.rotten, "a bad replica was chosen as source"
                target.contents[block_id] = bytearray(self.contents[block_id])
        super()._copy(block_id, command)

    def _delete(self, block_id: int, command: DatanodeCommand) -> None:
        super()._delete(block_id, command)
        if block_id not in self.ledger:
            self.contents.pop(block_id, None)
            self.rotten.discard(block_id)


class Session:
    """What one writer knows of a block that it writes."""

    def __init__(self, holder: str, block: LocatedBlock) -> None:
        self.holder = holder
        self.block = block
        self.dirty: dict[int, int] = {}
        self.broken = False
        self.committed = False
        """It committed, and goes on appending under the same stamp."""

    @property
    def first_unit(self) -> int:
        return self.block.offset // UNIT

    @property
    def end(self) -> int:
        """Units that the block will have."""
        return max([self.block.length // UNIT, *(unit + 1 for unit in self.dirty)])


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="oastfs-blocks-")
        self.store = open_store(f"lmdb://{self.directory}/store", create=True)
        options = FormatOptions(block_size=BLOCK_UNITS * UNIT, replication=2, inline_limit=64)
        format_store(self.store, options)
        self.now_ns = 2 * 10**18
        self.namespace = Namespace(self.store, clock_ns=self.clock, randomness=random.Random(1))
        self.fleet = Fleet(self.namespace, ByteNode)
        for _ in range(4):
            self.fleet.add()
        self.jobs = all_jobs(self.namespace)
        self.namespace.create(SUPERUSER, PATH)
        # Never reached: what the file takes has to be counted rightly at each check.
        self.namespace.set_quota(SUPERUSER, "/", 1 << 40, 1 << 60)
        self.sessions: list[Session] = []
        self.possible: list[set[int]] = []
        """Values that each unit of the file may have."""
        self.value = 0

    def clock(self) -> int:
        self.now_ns += 1
        return self.now_ns

    # --- writers --------------------------------------------------------------------------------

    @rule(holder=holders, start=starts, dirty=dirty_units, reached=reaches, fate=fates)
    def write(self, holder: str, start: int, dirty: list[int], reached: int, fate: str) -> None:
        """Write into the block at ``start``, or into a new one; then go on as ``fate`` says."""
        session = self._begin(holder, start * UNIT)
        if session is not None:
            self._write(session, dirty, reached)
            self._end(session, fate)

    @rule(holder=holders, start=starts, dirty=dirty_units, reached=reaches, fate=fates)
    def write_more(self, holder: str, start: int, dirty: list[int], reached: int, fate: str) -> None:
        """The same again: writing is what there is most of."""
        self.write(holder, start, dirty, reached, fate)

    @precondition(lambda self: self.sessions)
    @rule(pick=picks, dirty=dirty_units, reached=reaches, fate=fates)
    def write_on(self, pick: int, dirty: list[int], reached: int, fate: str) -> None:
        """Go on with what was begun; after a commit, past its end only."""
        session = self.sessions[pick % len(self.sessions)]
        if session.committed:
            dirty = [unit for unit in dirty if unit >= session.end]
        self._write(session, dirty, reached)
        self._end(session, fate)

    def _begin(self, holder: str, offset: int) -> Session | None:
        located = self.namespace.open(SUPERUSER, PATH, offset, 1).blocks
        begins = {offset, *(one.offset for one in located)}
        for session in [one for one in self.sessions if one.holder == holder]:
            if session.block.offset in begins:
                self._give_up(session)
        try:
            if located:
                where = located[0].offset
                block_id = located[0].block_id
                block = self.namespace.update_block(SUPERUSER, PATH, holder, where, block_id)
            else:
                block = self.namespace.add_block(SUPERUSER, PATH, holder, offset)
        except (LeaseConflict, BlockNotFound, InvalidArgument, NoDatanodes):
            return None
        session = Session(holder, block)
        self._open(session)
        return session

    def _write(self, session: Session, dirty: list[int], reached: int) -> None:
        """``reached``: how many datanodes of the pipeline get it; fewer than all is a broken pipeline."""
        for unit in dirty:
            if session.broken:
                return
            self.value = self.value % 255 + 1
            session.dirty[unit] = self.value
            self._may_show(session, unit)
            nodes = self._pipeline(session)
            done = [node.put(session.block, unit, self.value) for node in nodes[:reached]]
            session.broken = len(done) < len(nodes) or not all(done)

    def _end(self, session: Session, fate: str) -> None:
        if session.broken and fate == "commit":
            self._rebuild(session)
        if session.broken or not session.dirty or fate == "leave" or session not in self.sessions:
            return
        self._commit(session)
        if fate == "commit" and session in self.sessions:
            self.sessions.remove(session)

    @precondition(lambda self: self.sessions)
    @rule(pick=picks)
    def rebuild(self, pick: int) -> None:
        """Recover a pipeline: a new stamp, and everything that was not committed is sent again."""
        self._rebuild(self.sessions[pick % len(self.sessions)])

    def _rebuild(self, session: Session) -> None:
        block = session.block
        try:
            session.block = self.namespace.update_block(
                SUPERUSER, PATH, session.holder, block.offset, block.block_id
            )
        except (LeaseConflict, BlockNotFound, StaleBlock):
            self._give_up(session)
            return
        session.committed = False
        self._open(session, known=True)

    def _commit(self, session: Session) -> None:
        try:
            self.namespace.commit(SUPERUSER, PATH, session.holder, [self._acknowledged(session)])
        except (StaleBlock, LeaseExpired):
            self._give_up(session)
            return
        self._apply(session)

    def _acknowledged(self, session: Session) -> BlockCommit:
        block = session.block
        ids = tuple(node.storage_id for node in self._pipeline(session))
        return BlockCommit(block.block_id, block.generation_stamp, block.offset, session.end * UNIT, ids)

    @rule(holder=holders)
    def complete(self, holder: str) -> None:
        mine = [one for one in self.sessions if one.holder == holder]
        good = [one for one in mine if not one.broken and one.dirty]
        try:
            self.namespace.complete(SUPERUSER, PATH, holder, [self._acknowledged(one) for one in good])
        except (StaleBlock, LeaseExpired):
            return
        for session in good:
            self._apply(session)
        self.sessions = [one for one in self.sessions if one.holder != holder]

    @precondition(lambda self: self.sessions)
    @rule(pick=picks)
    def abandon(self, pick: int) -> None:
        self._give_up(self.sessions[pick % len(self.sessions)])

    def _give_up(self, session: Session) -> None:
        """A writer that will not send again what was not acknowledged has to say so."""
        self.sessions.remove(session)
        try:
            self.namespace.abandon_block(SUPERUSER, PATH, session.holder, session.block.block_id)
        except LeaseExpired:
            return

    @precondition(lambda self: self.sessions)
    @rule(pick=picks, cut=st.integers(0, BLOCK_UNITS))
    def truncate_what_is_written(self, pick: int, cut: int) -> None:
        """Cut into a block that has a writer, who then goes on."""
        session = self.sessions[pick % len(self.sessions)]
        self.truncate(min(session.first_unit + cut, len(self.possible)))
        self._end(session, "commit")

    @rule(length=units)
    def truncate(self, length: int) -> None:
        try:
            self.namespace.truncate(SUPERUSER, PATH, length * UNIT)
        except LeaseConflict:
            return
        del self.possible[length:]
        self.possible += [{0} for _ in range(length - len(self.possible))]

    @rule()
    def recover_lease(self) -> None:
        self.namespace.recover_lease(SUPERUSER, PATH)

    # --- failures and background --------------------------------------------------------------

    @rule(pick=picks)
    def stop_datanode(self, pick: int) -> None:
        running = list(self.fleet.running())
        if len(running) > 2:
            running[pick % len(running)].running = False

    @rule(pick=picks)
    def start_datanode(self, pick: int) -> None:
        stopped = [node for node in self.fleet.nodes if not node.running]
        if stopped:
            node = stopped[pick % len(stopped)]
            node.register()
            node.report_blocks()

    @rule(pick=picks)
    def report(self, pick: int) -> None:
        running = list(self.fleet.running())
        running[pick % len(running)].report_blocks()

    @rule(pick=picks)
    def rot(self, pick: int) -> None:
        """A replica goes bad, and a reader tells; never the last good one."""
        blocks = [one for one in self.namespace.open(SUPERUSER, PATH, 0, 1 << 40).blocks if one.length]
        if not blocks:
            return
        block = blocks[pick % len(blocks)]
        nodes = [self._node(one.storage_id) for one in block.locations]
        if sum(node.running for node in nodes) < 2 or block.under_construction:
            return
        node = next(node for node in nodes if node.running)
        node.contents[block.block_id][0] ^= 0xFF
        node.rotten.add(block.block_id)
        self.namespace.report_bad_blocks(SUPERUSER, [(block.block_id, node.storage_id)])

    @rule(seconds=st.sampled_from([1, 1, 20, 70]))
    def time_passes(self, seconds: int) -> None:
        """With heartbeats, and writers that renew their leases."""
        for _ in range(-(-seconds // 10)):
            self.now_ns += min(seconds, 10) * SECOND_NS
            for holder in HOLDERS:
                self.namespace.renew_lease(SUPERUSER, holder)
            self.fleet.carry_out_all()
            self._run_jobs()

    @rule()
    def writers_die(self) -> None:
        self.now_ns += 25 * 60 * SECOND_NS
        self.fleet.beat_all()
        self._run_jobs()

    def _run_jobs(self) -> None:
        for job in self.jobs:
            job.run_all(self.clock())

    # --- the model ------------------------------------------------------------------------------

    def _open(self, session: Session, known: bool = False) -> None:
        """Set the pipeline up on all of its datanodes, and send again what is not committed."""
        if not known:
            self.sessions.append(session)
        ready = [one for one in session.block.locations if self._node(one.storage_id).set_up(session.block)]
        # A writer goes on with what it can reach; now and then it leaves one out that it does not trust.
        if known and len(ready) > 1 and self.value % 3 == 0:
            ready.pop()
        session.block = msgspec.structs.replace(session.block, locations=tuple(ready))
        nodes = self._pipeline(session)
        done = [bool(nodes)]
        for unit, value in session.dirty.items():
            self._may_show(session, unit)
            done += [node.put(session.block, unit, value) for node in nodes]
        session.broken = not all(done)

    def _pipeline(self, session: Session) -> list[ByteNode]:
        return [self._node(one.storage_id) for one in session.block.locations]

    def _may_show(self, session: Session, unit: int) -> None:
        """What is written over committed bytes may be seen from now on."""
        at = session.first_unit + unit
        if at < len(self.possible):
            self.possible[at].add(session.dirty[unit])

    def _apply(self, session: Session) -> None:
        """The session's bytes are the file's."""
        first, end = session.first_unit, session.first_unit + session.end
        self.possible += [{0} for _ in range(end - len(self.possible))]
        old_end = session.block.length // UNIT
        for unit in range(session.end):
            if unit in session.dirty:
                self.possible[first + unit] = {session.dirty[unit]}
            elif unit >= old_end:
                self.possible[first + unit] = {0}
        # Under the same stamp only what comes after is new.
        block = session.block
        session.block = msgspec.structs.replace(
            block, length=session.end * UNIT, committed_stamp=block.generation_stamp
        )
        session.dirty = {}
        session.committed = True

    def _node(self, storage_id: int) -> ByteNode:
        node = self.fleet.by_storage(storage_id)
        assert isinstance(node, ByteNode)
        return node

    @invariant()
    def readers_see_what_was_committed(self) -> None:
        opened = self.namespace.open(SUPERUSER, PATH, 0, 1 << 40)
        assert opened.status.length == len(self.possible) * UNIT
        covered: set[int] = set()
        for block in opened.blocks:
            first = block.offset // UNIT
            covered.update(range(first, first + block.length // UNIT))
            self._check_block(block)
        for at, values in enumerate(self.possible):
            assert at in covered or 0 in values, f"unit {at} of {values} is in no block"
            if at not in covered:
                self.possible[at] = {0}

    def _check_block(self, block: LocatedBlock) -> None:
        nodes = [self._node(one.storage_id) for one in block.locations]
        contents = [
            bytes(node.contents[block.block_id][: block.length])
            for node in nodes
            if node.running and block.block_id in node.contents and block.block_id not in node.rotten
        ]
        for content in contents:
            assert len(content) == block.length, f"a replica of {block} is too short"
            for unit in range(block.length // UNIT):
                values = set(content[unit * UNIT : (unit + 1) * UNIT])
                possible = self.possible[block.offset // UNIT + unit]
                assert len(values) == 1 and values <= possible, f"{values} where {possible} may be"
        if contents and not block.under_construction:
            assert len(set(contents)) == 1, f"the replicas of {block} differ"
            for unit in range(block.length // UNIT):
                self.possible[block.offset // UNIT + unit] = {contents[0][unit * UNIT]}

    @invariant()
    def the_tables_are_whole(self) -> None:
        check(self.store, now_ns=self.clock()).raise_if_problems()

    def teardown(self) -> None:
        try:
            self._come_to_rest()
        finally:
            self.store.close()
            shutil.rmtree(self.directory)

    def _come_to_rest(self) -> None:
        for node in self.fleet.nodes:
            node.register()
            node.report_blocks()
        self.writers_die()
        for _ in range(40):
            self.now_ns += 10 * SECOND_NS
            self.fleet.carry_out_all()
            self._run_jobs()
        for node in self.fleet.nodes:
            node.report_blocks()
        self.fleet.carry_out_all()
        self.readers_see_what_was_committed()
        check(self.store, now_ns=self.clock()).raise_if_problems(health=True)
        rows = self.store.read(lambda tx: {(int(key[0]), int(key[1])) for key, _ in tx.scan(REPLICA)})
        held = {(block_id, node.storage_id) for node in self.fleet.nodes for block_id in node.ledger}
        assert rows == held, "replicas are lost or left over"


Machine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestBlocks = Machine.TestCase
