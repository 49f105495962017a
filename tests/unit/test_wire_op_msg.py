"""The wire protocol without a network: frames, OP_MSG, OP_QUERY, BSON that is not valid, ``hello``.

Codes and words are what mongod 6.0.5 answered to the same bytes; the integration tests hold them against it again.
"""

from __future__ import annotations

import contextlib
import struct
import zlib

import bson
import pytest
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import op_msg, op_query
from harness.wire.arguments import check_arguments
from harness.wire.documents import decode_at
from harness.wire.errors import BrokenConnectionError, RefusedError
from harness.wire.framing import HEADER, OP_MSG, OP_QUERY, Frame, ReplyIds, crc32c, payload_bytes
from harness.wire.hello import (
    Awaiting,
    MemberView,
    TopologyVersion,
    check_client,
    election_id,
    hello_reply,
    parse_awaiting,
)

PING = {"ping": 1, "$db": "admin"}
IDS = ReplyIds(2, 1)


def frame(payload: bytes, opcode: int = OP_MSG) -> Frame:
    return Frame(HEADER.pack(HEADER.size + len(payload), 7, 0, opcode), payload)


def message(*sections: bytes, bits: int = 0) -> Frame:
    return frame(struct.pack("<I", bits) + b"".join(sections))


def body(document: dict) -> bytes:
    return b"\0" + bson.encode(document)


def sequence(name: str, *documents: dict) -> bytes:
    payload = name.encode() + b"\0" + b"".join(bson.encode(each) for each in documents)
    return b"\1" + struct.pack("<i", len(payload) + 4) + payload


def parse(one: Frame) -> dict:
    return op_msg.parse_command(one, op_msg.parse_flags(one))


def refusal(one: Frame) -> tuple[int, str]:
    with pytest.raises(RefusedError) as raised:
        parse(one)
    return raised.value.code, raised.value.message


def query(namespace: str, document: dict, *, flags: int = 0, to_return: int = -1, extra: bytes = b"") -> Frame:
    head = struct.pack("<i", flags) + namespace.encode() + b"\0" + struct.pack("<ii", 0, to_return)
    return frame(head + bson.encode(document) + extra, OP_QUERY)


def test_a_body_is_the_command():
    """A command comes as it was sent, its first field first."""
    assert list(parse(message(body({**PING, "z": 1, "a": 2})))) == ["ping", "$db", "z", "a"]


def test_a_sequence_takes_its_place_in_the_command():
    """A document sequence is the command's array, before or after the body."""
    insert = {"insert": "c", "$db": "d"}
    documents = [{"_id": 1}, {"_id": 2}]
    expected = {**insert, "documents": documents}
    assert parse(message(body(insert), sequence("documents", *documents))) == expected
    assert parse(message(sequence("documents", *documents), body(insert))) == expected


def test_a_sequence_for_a_command_without_one_is_not_looked_at():
    """``find`` takes its filter from its body alone."""
    find = {"find": "c", "$db": "d"}
    assert parse(message(body(find), sequence("filter", {"_id": 1}))) == find


@pytest.mark.parametrize(
    ("one", "code", "words"),
    [
        (message(), 40587, "must have a body"),
        (message(sequence("documents", {})), 40587, "must have a body"),
        (message(body(PING), body(PING)), 40430, "Multiple body sections"),
        (message(body(PING), b"\2token"), 13, "Unsupported Security Token"),
        (message(body(PING), b"garbage"), 40432, "Unknown section kind 103"),
        (message(body(PING), sequence("a", {}), sequence("a", {})), 40431, "Duplicate document sequence: a"),
        (message(body({"insert": "c", "documents": []}), sequence("documents", {})), 40433, "sequence documents"),
        (message(body(PING), b"\1" + struct.pack("<i", 3) + b"d\0"), 15, "Invalid advance (4294967295)"),
        (message(body(PING), b"\1" + struct.pack("<i", 300) + b"d\0"), 15, "Invalid advance (296)"),
        (message(body(PING), b"\1" + struct.pack("<i", 5) + b"d"), 22, "No null terminator"),
        (message(bits=1), 51252, "containing a checksum"),
    ],
)
def test_sections_that_do_not_fit_are_refused(one, code, words):
    """What is wrong with the sections of a message is told with mongod's code."""
    found, told = refusal(one)
    assert found == code
    assert words in told


@pytest.mark.parametrize("bits", [1 << 2, 1 << 15])
def test_flags_that_must_be_understood_break_the_connection(bits):
    """A required flag bit that nobody knows closes the connection."""
    with pytest.raises(BrokenConnectionError):
        op_msg.parse_flags(message(body(PING), bits=bits))


@pytest.mark.parametrize("bits", [1 << 17, 1 << 31])
def test_flags_that_need_not_be_understood_are_passed_over(bits):
    """An optional flag bit changes nothing."""
    assert parse(message(body(PING), bits=bits)) == PING


def test_a_checksum_is_held_against_the_message():
    """A right checksum is taken and answered with one; a wrong one closes the connection."""
    payload = struct.pack("<I", 1) + body(PING)
    header = HEADER.pack(HEADER.size + len(payload) + 4, 7, 0, OP_MSG)
    right = struct.pack("<I", crc32c(header + payload))
    one = Frame(header, payload + right)
    assert parse(one) == PING
    assert op_msg.parse_flags(one).checksum
    with pytest.raises(BrokenConnectionError):
        op_msg.parse_flags(Frame(header, payload + struct.pack("<I", crc32c(header + payload) ^ 1)))
    reply = op_msg.make_reply({"ok": 1.0}, IDS, checksum=True)
    assert struct.unpack("<I", reply[-4:])[0] == crc32c(reply[:-4])


def test_the_checksum_is_castagnoli():
    """CRC-32C of the standard test vector."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"123456789") != zlib.crc32(b"123456789")


@pytest.mark.parametrize(
    ("length", "response_to", "opcode"),
    [
        (15, 0, OP_MSG),
        (16, 0, OP_MSG),
        (-1, 0, OP_MSG),
        (48_000_001, 0, OP_MSG),
        (100, 5, OP_MSG),
        (100, 0, 9999),
        (100, 0, 2012),
        (100, 0, 2001),
        (100, 0, 2002),
        (100, 0, 2006),
        (100, 0, 2007),
        (100, 0, 1),
    ],
)
def test_headers_that_break_the_connection(length, response_to, opcode):
    """Sizes out of range, answers, compressed, legacy and unknown messages are closed on, not answered."""
    with pytest.raises(BrokenConnectionError):
        payload_bytes(HEADER.pack(length, 1, response_to, opcode))


def test_a_message_may_have_48_million_bytes():
    """The largest message that mongod takes is taken."""
    assert payload_bytes(HEADER.pack(48_000_000, 1, 0, OP_MSG)) == 48_000_000 - 16


def nested(depth: int) -> bytes:
    document = b"\5\0\0\0\0"
    for _ in range(depth):
        inside = b"\3a\0" + document + b"\0"
        document = struct.pack("<i", len(inside) + 4) + inside
    return document


def element(*, name: bytes = b"comment", kind: int, value: bytes) -> bytes:
    inside = bytes([kind]) + name + b"\0" + value + b"\0"
    return struct.pack("<i", len(inside) + 4) + inside


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "BSON data has to be at least 5 bytes"),
        (b"\5\0\0\0", "BSON data has to be at least 5 bytes"),
        (b"\3\0\0\0\0", "BSON data has to be at least 5 bytes"),
        (b"\x50\0\0\0\0", "Incorrect BSON length"),
        (b"\5\0\0\0\1", "BSON object not terminated with EOO"),
        (element(kind=0x77, value=b""), "Unrecognized BSON type 119 in element with field name 'comment'"),
        (element(kind=0x02, value=b"\0\0\0\0\0"), "Not null terminated string in element with field name 'comment'"),
        (element(kind=0x02, value=b"\2\0\0\0ab"), "Not null terminated string"),
        (element(kind=0x02, value=b"\x7f\0\0\0ab\0"), "BSON size is larger than buffer size"),
        (element(kind=0x08, value=b"\2"), "BSON bool is neither false nor true"),
        (element(kind=0x03, value=b"\3\0\0\0\0"), "Nested BSON object has to be at least 5 bytes"),
        (
            element(kind=0x03, value=b"\x30\0\0\0\0"),
            "incorrect BSON length in element with field name 'comment.comment'",
        ),
        (element(kind=0x05, value=b"\xff\xff\xff\xff\0"), "BSON size is larger than buffer size"),
        (element(kind=0x10, value=b"\0"), "BSON size is larger than buffer size"),
    ],
)
def test_bson_that_is_not_valid_is_refused_in_mongods_words(data, words):
    """Each way in which a document can be broken has its words, and the code 22."""
    with pytest.raises(RefusedError) as raised:
        decode_at(data, 0)
    assert (raised.value.code, raised.value.code_name) == (22, "InvalidBSON")
    assert words in raised.value.message


def test_depth_of_nesting_is_limited():
    """199 levels are taken, 200 are refused, and thousands do not exhaust the stack."""
    assert decode_at(nested(199), 0)[1] == len(nested(199))
    for depth in (200, 3000):
        with pytest.raises(RefusedError) as raised:
            decode_at(nested(depth), 0)
        assert (raised.value.code, raised.value.code_name) == (15, "Overflow")


def test_a_document_beyond_16_mib_and_16_kib_is_refused():
    """A body may be a little larger than a document, and not more."""
    with pytest.raises(RefusedError) as raised:
        decode_at(bson.encode({"x": "a" * (17 * 1024 * 1024)}), 0)
    assert raised.value.code == 10334


@given(st.binary(max_size=200))
def test_no_bytes_break_more_than_their_message(data):
    """Whatever comes as an OP_MSG or OP_QUERY is a command, a refusal or the end of its connection."""
    for one, read in ((frame(data), parse), (frame(data, OP_QUERY), op_query.parse_query)):
        with contextlib.suppress(RefusedError, BrokenConnectionError):
            read(one)


@given(st.data())
def test_no_changed_byte_breaks_more_than_its_message(data):
    """The same for a good message of which some bytes were changed."""
    good = bytearray(
        message(body({"insert": "c", "$db": "d", "x": [{"y": "z"}]}), sequence("documents", {"a": 1})).payload
    )
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(4, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RefusedError, BrokenConnectionError):
        parse(frame(bytes(good)))


@pytest.mark.parametrize("name", ["isMaster", "ismaster", "hello", "buildInfo"])
def test_the_legacy_query_is_for_the_handshake(name):
    """The handshake may come as OP_QUERY, plain or wrapped; its database is that of the namespace."""
    assert op_query.parse_query(query("admin.$cmd", {name: 1})) == {name: 1, "$db": "admin"}
    assert op_query.parse_query(query("d.$cmd", {"$query": {name: 1}})) == {name: 1, "$db": "d"}


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (query("admin.$cmd", {"ping": 1}), 352),
        (query("admin.$cmd", {}), 352),
        (query("admin.$cmd", {"isMaster": 1}, to_return=0), 16979),
        (query("admin.$cmd", {"isMaster": 1}, to_return=5), 16979),
        (query("admin.$cmd", {"isMaster": 1}, flags=64), 18527),
        (query("admin.$cmd", {"isMaster": 1}, extra=b"zz"), 22),
        (frame(b"\0\0\0\0admin.$cmd\0", OP_QUERY), 18634),
    ],
)
def test_other_legacy_queries_are_refused(one, code):
    """Everything else that comes as OP_QUERY to ``$cmd`` has mongod's code."""
    with pytest.raises(RefusedError) as raised:
        op_query.parse_query(one)
    assert raised.value.code == code


def test_a_legacy_query_of_a_collection_is_told_that_it_is_gone():
    """OP_QUERY on a collection is answered as a removed operation."""
    assert op_query.parse_query(query("a.b", {})) is None
    reply = bson.decode(op_query.make_removed_reply("OP_QUERY", IDS)[HEADER.size + 20 :])
    assert (reply["code"], reply["ok"]) == (5739101, 0.0)


def test_a_legacy_query_without_a_namespace_breaks_the_connection():
    """There is nothing that it could be answered to."""
    with pytest.raises(BrokenConnectionError):
        op_query.parse_query(frame(b"\0\0\0\0admin.", OP_QUERY))


@pytest.mark.parametrize(
    ("database", "code"),
    [
        (None, 40571),
        (3, 13111),
        ("", 73),
        ("a.b", 73),
        ("a b", 73),
        ("a/b", 73),
        ('a"b', 73),
        ("a\0b", 73),
        ("a" * 64, 73),
    ],
)
def test_databases_that_cannot_be(database, code):
    """A command without a database, or with a name that none can have, is refused."""
    command = {"ping": 1} if database is None else {"ping": 1, "$db": database}
    with pytest.raises(RefusedError) as raised:
        check_arguments(command)
    assert raised.value.code == code


@pytest.mark.parametrize("database", ["a", "a" * 63, "a*b", "a$b", "a<b"])
def test_databases_that_can_be(database):
    """What mongod takes is taken."""
    check_arguments({"ping": 1, "$db": database})


def version(counter=3):
    return {"processId": ObjectId(), "counter": Int64(counter)}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"topologyVersion": version()}, 31368),
        ({"maxAwaitTimeMS": 5}, 31368),
        ({"topologyVersion": version(), "maxAwaitTimeMS": -1}, 51024),
        ({"topologyVersion": version(), "maxAwaitTimeMS": "x"}, 14),
        ({"topologyVersion": version(-1), "maxAwaitTimeMS": 5}, 31372),
        ({"topologyVersion": {"processId": ObjectId()}, "maxAwaitTimeMS": 5}, 40414),
        ({"topologyVersion": {**version(), "counter": 3}, "maxAwaitTimeMS": 5}, 14),
        ({"topologyVersion": {**version(), "z": 1}, "maxAwaitTimeMS": 5}, 40415),
        ({"topologyVersion": 5, "maxAwaitTimeMS": 5}, 14),
    ],
)
def test_an_awaitable_hello_must_be_whole(fields, code):
    """``topologyVersion`` and ``maxAwaitTimeMS`` come together and well-formed, or are refused."""
    with pytest.raises(RefusedError) as raised:
        parse_awaiting({"hello": 1, **fields}, exhaust=False)
    assert raised.value.code == code


def test_a_stream_of_hellos_must_await():
    """``exhaustAllowed`` needs ``maxAwaitTimeMS``."""
    with pytest.raises(RefusedError) as raised:
        parse_awaiting({"hello": 1}, exhaust=True)
    assert raised.value.code == 51756
    assert parse_awaiting({"hello": 1}, exhaust=False) is None


def test_news_are_other_versions():
    """Another process or an older count is answered at once, the same count is not, a later one is refused."""
    process = ObjectId()
    known = TopologyVersion(process=process, counter=5)
    assert known.is_news_for(Awaiting(process=ObjectId(), counter=9, max_await_ms=1))
    assert known.is_news_for(Awaiting(process=process, counter=4, max_await_ms=1))
    assert not known.is_news_for(Awaiting(process=process, counter=5, max_await_ms=1))
    with pytest.raises(RefusedError) as raised:
        known.is_news_for(Awaiting(process=process, counter=6, max_await_ms=1))
    assert raised.value.code == 31382


def told(role, **view):
    return hello_reply(
        {"hello": 1},
        MemberView(member="m2", role=role, **view),
        version=TopologyVersion(process=ObjectId(), counter=1),
        set_name="rs",
        hosts={"m1": "h:1", "m2": "h:2"},
        last_write={},
        now_us=0,
        connection=1,
    )


def test_hello_tells_the_topology():
    """A primary tells its election, a secondary its primary, a member that rolls back neither of both roles."""
    primary = told("PRIMARY", primary="m2", term=3)
    assert (primary["isWritablePrimary"], primary["secondary"], primary["primary"], primary["me"]) == (
        True,
        False,
        "h:2",
        "h:2",
    )
    assert primary["electionId"] == election_id(3)
    secondary = told("SECONDARY", primary="m1")
    assert (secondary["isWritablePrimary"], secondary["secondary"], secondary["primary"]) == (False, True, "h:1")
    assert "electionId" not in secondary
    lost = told("ROLLBACK")
    assert (lost["isWritablePrimary"], lost["secondary"], "primary" in lost) == (False, False, False)
    assert election_id(2) < election_id(3) < election_id(300)


@pytest.mark.parametrize(
    ("client", "known", "code"),
    [({"driver": {}, "os": {}}, True, 186), (5, False, 14), ({"os": {}}, False, 183), ({"driver": {}}, False, 183)],
)
def test_the_client_tells_of_itself_once(client, known, code):
    """The metadata of a client comes whole, and with the first hello alone."""
    with pytest.raises(RefusedError) as raised:
        check_client({"hello": 1, "client": client}, known=known)
    assert raised.value.code == code
