import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import events, idempotency, leases
from store.control import Lease
from store.engine import reading, writing
from store.errors import KeyInFlightError, KeyReusedError, LeaseLostError


def test_events_have_growing_ids_and_a_reader_misses_none(engine):
    seen, done = [], threading.Event()

    def read():
        last = 0
        while not done.is_set() or _newest(engine) > last:
            with reading(engine) as session:
                for event in events.after(session, last):
                    seen.append(event.id)
                    last = event.id

    def write():
        for _ in range(15):
            with writing(engine) as session:
                events.append(session, "x")
                events.append(session, "y")

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write) for _ in range(3)]
    [t.start() for t in (reader, *writers)]
    [t.join() for t in writers]
    done.set()
    reader.join()
    assert len(seen) == 90
    assert seen == sorted(set(seen))


def _newest(engine):
    with reading(engine) as session:
        return events.last_id(session)


def test_a_key_gives_the_first_answer_again(session):
    assert idempotency.begin(session, "scope", "k", b"body") is None
    idempotency.finish(session, "scope", "k", status=201, body={"id": 1})
    again = idempotency.begin(session, "scope", "k", b"body")
    assert (again.status, again.body) == (201, {"id": 1})


def test_a_key_with_another_body_is_refused(session):
    idempotency.begin(session, "scope", "k", b"body")
    with pytest.raises(KeyReusedError, match="'k' was used with another body; choose a new key"):
        idempotency.begin(session, "scope", "k", b"other")


def test_a_key_without_an_answer_is_in_flight(session):
    idempotency.begin(session, "scope", "k", b"body")
    with pytest.raises(KeyInFlightError, match="in flight"):
        idempotency.begin(session, "scope", "k", b"body")


def test_fifty_equal_requests_do_the_work_once(engine):
    answers = []

    def ask():
        with writing(engine) as session:
            answer = idempotency.begin(session, "scope", "k", b"body")
            if answer is None:
                answer = {"id": events.append(session, "worked").id}
                idempotency.finish(session, "scope", "k", status=201, body=answer)
            else:
                answer = answer.body
        answers.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(answers) == 50
    assert len({str(a) for a in answers}) == 1
    assert _newest(engine) == 1


def test_a_lease_has_one_holder(session):
    watch = leases.Watch()
    assert leases.acquire(session, "d", "a", watch=leases.Watch(), ttl_s=60) == 1
    assert leases.acquire(session, "d", "b", watch=watch, ttl_s=60) is None
    assert leases.holder(session, "d") == "a"
    assert leases.age_s(session, "d") < 5


def test_a_silent_holder_loses_it_and_may_write_no_more(session):
    watch = leases.Watch()
    first = leases.acquire(session, "d", "a", watch=leases.Watch(), ttl_s=60)
    assert leases.acquire(session, "d", "b", watch=watch, ttl_s=1) is None
    watch.since -= 2  # the rival's stopwatch, two seconds on
    second = leases.acquire(session, "d", "b", watch=watch, ttl_s=1)
    assert second == first + 1
    leases.hold(session, "d", second)
    with pytest.raises(LeaseLostError, match="epoch 1 went to someone else"):
        leases.hold(session, "d", first)


def test_a_wait_for_another_writer_is_no_silence(session):
    """The holder waited for it too."""
    watch = leases.Watch()
    assert leases.acquire(session, "d", "a", watch=leases.Watch(), ttl_s=60) == 1
    assert leases.acquire(session, "d", "b", watch=watch, ttl_s=5) is None
    watch.since -= 7  # both waited seven seconds for a large submission
    watch.looked -= 7
    assert leases.acquire(session, "d", "b", watch=watch, ttl_s=5) is None
    watch.since -= 7  # and now it is silent while it is watched
    assert leases.acquire(session, "d", "b", watch=watch, ttl_s=5) == 2


@given(st.integers(1, 50))
def test_a_beating_holder_keeps_it_whatever_the_clock_says(session, n_beats):
    """Only the rival's own stopwatch counts, and every heartbeat sets it back."""
    with session.begin_nested() as savepoint:
        epoch = leases.acquire(session, "d", "a", watch=leases.Watch(), ttl_s=60)
        watch = leases.Watch()
        for _ in range(n_beats):
            leases.hold(session, "d", epoch)
            session.expire_all()
            assert leases.acquire(session, "d", "b", watch=watch, ttl_s=1) is None
            watch.since -= 0.9
        savepoint.rollback()


def test_a_lease_given_back_or_known_dead_is_free_at_once(session):
    first = leases.acquire(session, "d", "a", watch=leases.Watch(), ttl_s=60)
    leases.release(session, "d", first)
    session.expire_all()
    assert leases.age_s(session, "d") is None
    second = leases.acquire(session, "d", "b", watch=leases.Watch(), ttl_s=60)
    third = leases.acquire(session, "d", "c", watch=leases.Watch(), ttl_s=60, gone=True)
    assert (second, third) == (2, 3)
    assert session.get(Lease, "d").holder == "c"
