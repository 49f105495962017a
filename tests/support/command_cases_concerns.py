"""Cases of write concerns, retryable writes and fail points, which a simulated set must answer as a real one does."""

from __future__ import annotations

from bson.int64 import Int64
from command_steps import (
    INC,
    SET,
    B,
    Step,
    aggregate,
    begin,
    commit,
    delete,
    find,
    index,
    insert,
    modify,
    until,
    update,
    updates,
    within,
    write,
)

CONCERNS: dict[str, list[Step]] = {
    "write-concern": [
        insert({"_id": 1, "a": 1}),
        *(
            update({"_id": 1}, INC, more={"writeConcern": concern})
            for concern in (
                {"w": 4},
                {"w": "unknown"},
                {"w": 1, "j": True},
                {"w": "majority", "wtimeout": 100},
                {"w": 1.5},
                {"wtimeout": -1},
                {"j": 1},
                {},
            )
        ),
        find(),
    ],
    "write-concern-malformed": [
        *(insert({"_id": 1}, writeConcern=concern) for concern in ({"w": -1}, {"w": 51}, {"w": [1]}, {"foo": 1})),
        find(),
    ],
    "write-concern-on-errors": [
        insert({"_id": 1, "a": 1}),
        insert({"_id": 1}, writeConcern={"w": 4}),
        update({"_id": 9}, INC, more={"writeConcern": {"w": 4}}),
        delete({"_id": 9}, writeConcern={"w": "unknown"}),
        modify({"_id": 1}, INC, writeConcern={"w": 4}),
        modify({"_id": 1}, {"$bad": 1}, writeConcern={"w": 4}),
        modify({"_id": 1}, {"$set": {"_id": 3}}, writeConcern={"w": 4}),
        {"update": "c", "updates": [], "writeConcern": {"w": 4}},
        update({"_id": 1}, {"$bad": 1}, more={"writeConcern": {"w": 4}}),
        find(writeConcern={"w": 4}),
        {"count": "c", "writeConcern": {"w": 1}},
    ],
    "write-concern-on-definitions": [
        {"create": "c", "writeConcern": {"w": 4}},
        {**index({"a": 1}, "a_1"), "writeConcern": {"w": 4}},
        {**index({"a": 1}, "a_1"), "writeConcern": {"w": 4}},
        {"create": "c", "writeConcern": {"w": 4}},
        {"drop": "c", "writeConcern": {"w": 4}},
        {"drop": "c", "writeConcern": {"w": 4}},
        aggregate({"$out": "o"}, writeConcern={"w": 4}),
    ],
}

RETRIES: dict[str, list[Step]] = {
    "retry-update": [
        insert({"_id": 1, "a": 1}),
        *until(2, update({"_id": 1}, INC, more=write(1))),
        *until(2, update({"_id": 7}, INC, upsert=True, more=write(2))),
        update({"_id": 1}, INC, more=write(1)),
        find(),
    ],
    "retry-insert": [
        *until(2, insert({"_id": 20}, {"_id": 21}, **write(3))),
        *until(2, insert({"_id": 20}, {"_id": 22}, **{**write(4), "ordered": False})),
        find(),
    ],
    "retry-delete": [
        insert({"_id": 1}, {"_id": 2}),
        *until(
            2, {"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}, {"q": {"_id": 9}, "limit": 1}], **write(5)}
        ),
        find(),
    ],
    "retry-modify": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}),
        *until(2, modify({"_id": 1}, INC, new=True, fields={"a": 1, "_id": 0}, **write(6))),
        *until(2, modify({"_id": 1}, INC, **write(7))),
        *until(2, modify({"_id": 2}, remove=True, **write(8))),
        *until(2, modify({"_id": 9}, remove=True, **write(9))),
        *until(2, modify({"_id": 3}, SET, upsert=True, **write(10))),
        *until(2, modify({"_id": 4}, SET, upsert=True, new=True, **write(11))),
        find(),
    ],
    "retry-no-op": [
        insert({"_id": 1, "a": 5}),
        *until(2, update({"_id": 1}, SET, more=write(1))),
        update({"_id": 1}, INC),
        update({"_id": 1}, SET, more=write(1)),
        find(),
    ],
    "retry-part-of-batch": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}),
        updates({"q": {"_id": 1}, "u": INC}, **write(1)),
        updates({"q": {"_id": 1}, "u": INC}, {"q": {"_id": 2}, "u": INC}, **write(1)),
        find(),
    ],
    "not-retryable": [
        insert({"_id": 1, "a": 1}),
        update({}, INC, multi=True, more=write(1)),
        delete({}, 0, **write(2)),
        find(**write(3)),
        update({"_id": 1}, INC, more={"txnNumber": Int64(4)}),
        insert({"_id": 5}, **write(5), stmtIds=[4]),
        insert({"_id": 5}, **write(5), stmtIds=[4]),
    ],
    "session-order": [
        insert({"_id": 1}, **write(5)),
        insert({"_id": 2}, **write(4)),
        insert({"_id": 3}, **write(4, B)),
        update({"_id": 1}, SET, more=write(6)),
        insert({"_id": 4}, **write(5)),
    ],
}

FAIL_POINTS: dict[str, list[Step]] = {
    f"fail-{code}": [
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["insert"], "errorCode": code},
            "$db": "admin",
        },
        insert({"_id": 1}, **write(1)),
        insert({"_id": 1}, **write(1)),
    ]
    for code in (6, 50, 64, 91, 112, 189, 251, 11000, 11602, 10107)
} | {
    "fail-write-concern": [
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["insert"], "writeConcernError": {"code": 91, "errmsg": "x"}},
            "$db": "admin",
        },
        insert({"_id": 1}, **write(1)),
        insert({"_id": 1}, **write(1)),
    ],
    "fail-labels": [
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["find"], "errorCode": 8, "errorLabels": ["Mine"]},
            "$db": "admin",
        },
        find(),
        find(),
        {"configureFailPoint": "nope", "mode": "off", "$db": "admin"},
    ],
    "fail-in-transaction": [
        insert({"_id": 1, "a": 1}),
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["commitTransaction"], "errorCode": 91},
            "$db": "admin",
        },
        update({"_id": 1}, INC, more=begin(1)),
        commit(1),
        commit(1),
        find(),
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["update"], "errorCode": 91},
            "$db": "admin",
        },
        find(**begin(2)),
        update({"_id": 1}, INC, more=within(2)),
        find(**within(2)),
    ],
}
