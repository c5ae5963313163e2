# SPDX-License-Identifier: Apache-2.0
"""What a request costs a worker, counted by callgrind (test/lib/budget.py) and held to test/budget.def.
F-PERF-01, S-NF-3"""
import os
import shutil

import pytest

import budget
from gateway import SANITIZED, TOP

pytestmark = [pytest.mark.xdist_group("budget"), pytest.mark.timeout(300)]
ROWS = budget.rows()


@pytest.fixture(scope="module")
def countable():
    if not shutil.which("valgrind"):
        pytest.skip("needs valgrind")
    if SANITIZED or os.environ.get("COV") or "--coverage" in (budget.BUILD / "flags").read_text():
        pytest.skip("counts nothing of use in an instrumented build")


@pytest.fixture(scope="module")
def counted(countable):
    """{name: Cost}, all counted once."""
    return budget.measure(list(ROWS))


@pytest.mark.parametrize("name", ROWS)
def test_instructions(counted, name):
    """A kind of request takes no more instructions than its budget says. F-PERF-01"""
    why = budget.unfit()
    if why:
        pytest.skip(why)
    cost, row = counted[name], ROWS[name]
    print(f"{name}: {cost.instructions:,.0f} instructions, budget {row.instructions:,.0f}")
    dearest = ", ".join(f"{function} {own:.0f}" for function, own, _ in cost.top(10))
    assert cost.instructions <= row.instructions, (
        f"{name}, {row.what}: {cost.instructions:,.0f} instructions in user space for each request, over the budget of "
        f"{row.instructions:,.0f} by {100 * (cost.instructions / row.instructions - 1):.1f} %. Find the cause "
        f"(test/budget --top 30 {name}, here and in the commit before), or raise the budget in "
        f"{budget.TABLE.relative_to(TOP)} (test/budget --update {name}) in a commit of its own that says what is bought "
        f"by it. The dearest: {dearest}")


@pytest.mark.parametrize("name", ROWS)
def test_allocations(counted, name):
    """A warm worker takes no memory for a request over HTTP/1.1: malloc, calloc, realloc, mmap ... are not called once
    in 2,000 requests. Over HTTP/2, whose library does, no more often than the table says. F-PERF-01"""
    cost, row = counted[name], ROWS[name]
    calls = {f: cost.called[f] for f in budget.ALLOCATORS if cost.called[f]}
    print(f"{name}: {cost.calls(*budget.ALLOCATORS):.3f} allocations a request: {calls}")
    if row.allocations == 0:
        assert not calls, f"{name}: in {cost.requests} requests {calls}"
    else:
        assert cost.calls(*budget.ALLOCATORS) <= row.allocations + 0.05, (name, row.allocations, calls)


@pytest.mark.parametrize("name", ROWS)
def test_socket_calls(counted, name):
    """Four socket calls for each request on kept connections: what a relay that looks at no octet needs too. Changes
    come together where the worker was not woken between them. F-PERF-01, F-PERF-02"""
    cost, row = counted[name], ROWS[name]
    calls = {f: cost.called[f] for f in budget.SOCKET_CALLS if cost.called[f]}
    print(f"{name}: {cost.calls(*budget.SOCKET_CALLS):.3f} socket calls a request: {calls}")
    over = cost.calls(*budget.SOCKET_CALLS) - row.socket_calls
    assert over < 0.01 and (over > -0.01 or budget.KINDS[name][1] is budget.changes), (name, row.socket_calls, calls)


def test_bodies_are_not_copied(countable):
    """HTTP/1.1 passes a body on from the memory it was read into, of 32 KiB as of any length; one of 1 KiB is put behind
    its head, once, for one range costs the kernel less than two. F-PERF-01"""
    small, large = (budget.copied(False, lambda gw, n=n: budget.http1(gw, octets=n)) for n in (1024, 32768))
    print(f"{small[0]:.0f} octets copied, {large[0]:.0f} with 32 KiB")
    assert 0 < large[0] < 1024 and small[0] < large[0] + 2048, (small, large)
