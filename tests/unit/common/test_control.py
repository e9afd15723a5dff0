"""The contract of the control store, on SQLite here and on PostgreSQL under the mark `integration`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from coworkai.common.control import (
    LLM_CALL_LOST,
    Capture,
    Control,
    DirtyDay,
    Identity,
    Lane,
    Spend,
    Stage,
)
from coworkai.common.errors import Forbidden, LeaseLost, SettingsError, StorageUnavailable, Terminal
from coworkai.common.insight_policy import InsightPolicy, Writer

D1, D2, D3 = date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)


class FakeClock:
    def __init__(self) -> None:
        self.now = datetime(2025, 3, 10, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class ControlContract:
    """What every control store promises; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def control(self, url: str, clock: FakeClock) -> Iterator[Control]:
        control = Control(url, clock)
        control.migrate()
        yield control
        control.close()

    # ---------------------------------------------------------------------------------------- tenants
    def test_a_tenant_that_does_not_exist_is_none(self, control: Control) -> None:
        assert control.tenant("nobody") is None
        assert control.tenants() == []

    def test_the_default_policy_keeps_counts_and_tokens_only(self, control: Control) -> None:
        tenant = control.put_tenant("acme")
        assert (tenant.identity, tenant.capture_keystrokes, tenant.capture_clipboard) == (
            Identity.TOKEN,
            Capture.COUNTS,
            Capture.COUNTS,
        )
        assert control.tenant("acme") == tenant

    def test_a_changed_policy_keeps_the_salt(self, control: Control) -> None:
        before = control.put_tenant("acme")
        after = control.put_tenant("acme", capture_keystrokes=Capture.TEXT, time_zone="Europe/Berlin")
        assert after.key_salt == before.key_salt
        assert after.capture_keystrokes is Capture.TEXT
        assert control.tenants() == [after]

    def test_two_tenants_have_different_salts(self, control: Control) -> None:
        assert control.put_tenant("acme").key_salt != control.put_tenant("globex").key_salt

    def test_an_unknown_time_zone_is_refused(self, control: Control) -> None:
        with pytest.raises(Terminal, match="time_zone"):
            control.put_tenant("acme", time_zone="Mars/Olympus")

    def test_a_group_below_five_is_refused(self, control: Control) -> None:
        with pytest.raises(Terminal, match="min_group"):
            control.put_tenant("acme", min_group=4)

    def test_another_time_zone_marks_the_days_that_the_tenant_has_and_nobody_elses(
        self, control: Control
    ) -> None:
        control.put_tenant("acme")
        control.put_tenant("globex")
        control.advance("bronze/chat", seen=None, version=1, touched={"acme": [D1, D2], "globex": [D1]})
        control.mark_dirty("acme", Stage.STAGE1, [D2])
        control.mark_dirty("acme", Stage.STAGE2, [D2])
        lease = control.lease("acme", "a", 60)
        assert lease is not None
        control.finish_stage(lease, control.dirty([Stage.SILVER, Stage.STAGE1], "acme"))
        control.put_tenant("acme", capture_keystrokes=Capture.TEXT)
        assert control.dirty([Stage.SILVER, Stage.STAGE1], "acme") == []
        before = control.dirty(tenant_id="globex")
        control.put_tenant("acme", time_zone="Asia/Tokyo")
        marked = control.dirty([Stage.SILVER, Stage.STAGE1], "acme")
        assert [(day.stage, day.date) for day in marked] == [
            (Stage.SILVER, D1),
            (Stage.SILVER, D2),
            (Stage.STAGE1, D2),
        ]
        assert [day.mark for day in control.dirty(Stage.STAGE2, "acme")] == [1]
        assert control.dirty(tenant_id="globex") == before

    def test_plain_identities_are_refused_where_they_are_not_allowed(self, url: str) -> None:
        control = Control(url, plain_allowed=False)
        control.migrate()
        with pytest.raises(Forbidden, match="cloud mode") as refused:
            control.put_tenant("acme", identity=Identity.PLAIN)
        assert refused.value.remedy is not None
        assert control.tenant("acme") is None
        assert control.put_tenant("acme").identity is Identity.TOKEN
        control.close()

    # ------------------------------------------------------------------------------------ ingest keys
    def test_an_ingest_key_speaks_for_its_tenant(self, control: Control) -> None:
        control.put_tenant("acme")
        key = control.create_ingest_key("acme")
        assert key.startswith("cwi_")
        assert control.ingest_key_tenant(key) == "acme"

    @pytest.mark.parametrize(
        "spoil", [lambda key: key[:-1] + "!", lambda key: key[:20], lambda _: "", lambda _: "cwi_"]
    )
    def test_a_wrong_ingest_key_speaks_for_nobody(
        self, control: Control, spoil: Callable[[str], str]
    ) -> None:
        control.put_tenant("acme")
        assert control.ingest_key_tenant(spoil(control.create_ingest_key("acme"))) is None

    def test_a_revoked_key_speaks_for_nobody(self, control: Control) -> None:
        control.put_tenant("acme")
        key, other = control.create_ingest_key("acme"), control.create_ingest_key("acme")
        assert control.revoke_ingest_key(key[:20])
        assert not control.revoke_ingest_key(key)
        assert control.ingest_key_tenant(key) is None
        assert control.ingest_key_tenant(other) == "acme"

    def test_the_key_of_an_inactive_tenant_speaks_for_nobody(self, control: Control) -> None:
        control.put_tenant("acme")
        key = control.create_ingest_key("acme")
        control.put_tenant("acme", active=False)
        assert control.ingest_key_tenant(key) is None

    def test_no_key_is_made_for_a_tenant_that_does_not_exist(self, control: Control) -> None:
        with pytest.raises(Terminal, match="no such tenant"):
            control.create_ingest_key("nobody")

    # ----------------------------------------------------------------------------- cursors, dirty days
    def test_the_cursor_and_the_marks_move_together(self, control: Control) -> None:
        assert control.cursor("bronze/activities") is None
        assert control.advance(
            "bronze/activities", seen=None, version=3, touched={"acme": [D1, D2], "globex": [D1]}
        )
        assert control.cursor("bronze/activities") == 3
        assert [(d.tenant_id, d.date) for d in control.dirty(Stage.SILVER)] == [
            ("acme", D1),
            ("acme", D2),
            ("globex", D1),
        ]

    @pytest.mark.parametrize("seen", [None, 2])
    def test_a_dispatcher_that_lost_the_race_marks_nothing(self, control: Control, seen: int | None) -> None:
        control.advance("bronze/activities", seen=None, version=3, touched={})
        assert not control.advance("bronze/activities", seen=seen, version=4, touched={"acme": [D1]})
        assert control.cursor("bronze/activities") == 3
        assert control.dirty() == []

    def test_a_mark_that_rose_while_a_run_computed_stays_dirty(self, control: Control) -> None:
        control.mark_dirty("acme", Stage.SILVER, [D1, D2])
        lease = control.lease("acme", "runner", 30)
        assert lease is not None
        pinned = control.dirty(Stage.SILVER, "acme")
        control.mark_dirty("acme", Stage.SILVER, [D2])
        control.finish_stage(lease, pinned, next_stage=Stage.STAGE1, next_dates=[D1, D2])
        assert [day.date for day in control.dirty(Stage.SILVER, "acme")] == [D2]
        assert [day.date for day in control.dirty(Stage.STAGE1, "acme")] == [D1, D2]

    def test_a_cleared_day_that_gets_dirty_again_has_a_higher_mark(self, control: Control) -> None:
        control.mark_dirty("acme", Stage.SILVER, [D1])
        [first] = control.dirty()
        lease = control.lease("acme", "runner", 30)
        assert lease is not None
        control.finish_stage(lease, [first])
        assert control.dirty() == []
        control.mark_dirty("acme", Stage.SILVER, [D1])
        [second] = control.dirty()
        assert second.mark > first.mark
        control.finish_stage(lease, [first])
        assert control.dirty() == [second]

    def test_a_failed_day_stays_dirty_and_waits_longer_each_time(
        self, control: Control, clock: FakeClock
    ) -> None:
        control.mark_dirty("acme", Stage.STAGE1, [D1])
        lease = control.lease("acme", "runner", 30)
        assert lease is not None
        for wait_s in (60, 120, 240):
            [day] = control.dirty(Stage.STAGE1, ready_only=True)
            control.finish_stage(lease, [], failed=[day])
            clock.advance(wait_s - 1)
            assert control.dirty(Stage.STAGE1, ready_only=True) == []
            assert len(control.dirty(Stage.STAGE1)) == 1
            clock.advance(1)

    def test_new_data_does_not_make_a_failed_day_spin(self, control: Control, clock: FakeClock) -> None:
        control.mark_dirty("acme", Stage.SILVER, [D1])
        lease = control.lease("acme", "runner", 30)
        assert lease is not None
        control.finish_stage(lease, [], failed=control.dirty())
        control.mark_dirty("acme", Stage.SILVER, [D1])
        assert control.dirty(ready_only=True) == []

    def test_a_success_forgets_the_failures_before_it(self, control: Control, clock: FakeClock) -> None:
        control.mark_dirty("acme", Stage.SILVER, [D1])
        lease = control.lease("acme", "runner", 30)
        assert lease is not None
        control.finish_stage(lease, [], failed=control.dirty())
        control.finish_stage(lease, control.dirty())
        control.mark_dirty("acme", Stage.SILVER, [D1])
        assert [day.attempts for day in control.dirty(ready_only=True)] == [0]

    def test_marks_of_many_threads_are_all_counted(self, control: Control) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: control.mark_dirty("acme", Stage.SILVER, [D1, D2, D3]), range(24)))
        assert [day.mark for day in control.dirty()] == [24, 24, 24]

    # ---------------------------------------------------------------------------------- planned days
    def test_a_planned_day_becomes_dirty_when_its_time_has_come_and_once(
        self, control: Control, clock: FakeClock
    ) -> None:
        soon, later = clock.now + timedelta(hours=1), clock.now + timedelta(hours=9)
        for _ in range(2):
            control.plan("acme", Stage.STAGE2, [D1, D2], soon)
        control.plan("acme", Stage.STAGE2, [D1], later)
        control.plan("globex", Stage.STAGE2, [], soon)
        assert control.mark_due(Stage.STAGE2) == 0
        assert control.dirty() == []
        clock.advance(3600)
        assert control.mark_due(Stage.STAGE2) == 2
        assert control.mark_due(Stage.STAGE2) == 0
        assert [(day.stage, day.date, day.mark) for day in control.dirty()] == [
            (Stage.STAGE2, D1, 1),
            (Stage.STAGE2, D2, 1),
        ]
        assert control.planned(Stage.STAGE2, "acme") == [(D1, later)]
        clock.advance(8 * 3600)
        assert control.mark_due(Stage.STAGE2) == 1
        assert [day.mark for day in control.dirty(Stage.STAGE2)] == [2, 1]

    def test_of_many_threads_one_finds_a_planned_day(self, control: Control, clock: FakeClock) -> None:
        control.plan("acme", Stage.STAGE2, [D1, D2, D3], clock.now)
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda _: control.mark_due(Stage.STAGE2), range(8))) == 3
        assert [day.mark for day in control.dirty()] == [1, 1, 1]

    def test_dirty_days_of_some_stages_leave_out_the_others(self, control: Control) -> None:
        for stage in Stage:
            control.mark_dirty("acme", stage, [D1])
        runner = [Stage.SILVER, Stage.STAGE1]
        assert [day.stage for day in control.dirty(runner)] == runner

    # ------------------------------------------------------------------------------- insight policies
    def test_a_tenant_without_an_insight_policy_has_the_deterministic_writer(self, control: Control) -> None:
        control.put_tenant("acme")
        assert control.insight_policy("acme") == InsightPolicy()
        assert control.insight_policy("acme").writer is Writer.DETERMINISTIC

    def test_an_insight_policy_is_kept_and_changed(self, control: Control) -> None:
        control.put_tenant("acme")
        policy = InsightPolicy(Writer.OPENAI, model="m", base_url="http://127.0.0.1:1/v1", brief_days=3)
        control.put_insight_policy("acme", InsightPolicy(brief_days=5))
        control.put_insight_policy("acme", policy)
        assert control.insight_policy("acme") == policy

    def test_a_tenant_that_does_not_exist_has_no_insight_policy(self, control: Control) -> None:
        with pytest.raises(Terminal, match="no such tenant"):
            control.put_insight_policy("nobody", InsightPolicy())

    def test_another_insight_policy_has_the_newest_days_written_again(self, control: Control) -> None:
        for tenant_id in ("acme", "other"):
            control.put_tenant(tenant_id)
            for stage in Stage:
                control.mark_dirty(tenant_id, stage, [D1, D2, D3])
        lease = control.lease("acme", "a", 60, Lane.INSIGHTS)
        assert lease is not None
        control.finish_stage(lease, control.dirty(Stage.STAGE2, "acme"))
        for policy in (InsightPolicy(), InsightPolicy(brief_days=2), InsightPolicy(brief_days=2)):
            control.put_insight_policy("acme", policy)
            again = [D2, D3] if policy.brief_days == 2 else []
            assert [day.date for day in control.dirty(Stage.STAGE2, "acme")] == again
        assert [day.mark for day in control.dirty(Stage.STAGE2, "acme")] == [2, 2]
        others = [*control.dirty(tenant_id="other"), *control.dirty([Stage.SILVER, Stage.STAGE1], "acme")]
        assert {day.mark for day in others} == {1}

    # ------------------------------------------------------------------------------------ model calls
    def test_model_calls_take_from_the_days_budget_until_it_is_spent(self, control: Control) -> None:
        budget, call = Spend(100, 1_000), Spend(40, 10)
        taken = [control.reserve_spend("acme", D1, call, budget, call_id=f"{n}", lost="{}") for n in range(3)]
        assert taken == [True, True, False]
        assert control.spend("acme", D1) == Spend(80, 20)
        assert control.reserve_spend("acme", D2, call, budget, call_id="3", lost="{}")
        assert control.reserve_spend("globex", D1, call, budget, call_id="4", lost="{}")

    @pytest.mark.parametrize("spend", [Spend(101, 0), Spend(0, 1_001)])
    def test_a_call_that_is_larger_than_the_whole_budget_is_not_made(
        self, control: Control, spend: Spend
    ) -> None:
        assert not control.reserve_spend("acme", D1, spend, Spend(100, 1_000), call_id="1", lost="{}")
        assert control.spend("acme", D1) == Spend(0, 0)
        assert control.unpublished_calls("acme") == {}

    def test_what_a_call_did_not_take_is_there_for_others(self, control: Control) -> None:
        budget = Spend(100, 1_000)
        assert control.reserve_spend("acme", D1, Spend(100, 900), budget, call_id="1", lost="{}")
        control.settle_spend("acme", D1, Spend(-70, -880), call_id="1", row="{}")
        assert control.spend("acme", D1) == Spend(30, 20)
        assert control.reserve_spend("acme", D1, Spend(70, 980), budget, call_id="2", lost="{}")

    def test_many_at_once_never_exceed_the_budget(self, control: Control) -> None:
        def take(n: int) -> bool:
            return control.reserve_spend("acme", D1, Spend(7, 1), Spend(50, 50), call_id=f"{n}", lost="{}")

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(24))) == 7
        assert control.spend("acme", D1) == Spend(49, 7)

    def test_the_row_of_a_call_is_there_when_it_is_over_until_it_is_published(self, control: Control) -> None:
        control.reserve_spend("acme", D1, Spend(1, 1), Spend(9, 9), call_id="1", lost="lost")
        assert control.unpublished_calls("acme") == {}
        control.settle_spend("acme", D1, Spend(0, 0), call_id="1", row="as it was")
        assert control.unpublished_calls("acme") == {"1": "as it was"}
        assert control.unpublished_calls("globex") == {}
        control.forget_calls(["1"])
        assert control.unpublished_calls("acme") == {}

    def test_a_call_that_is_not_heard_of_again_is_lost(self, control: Control, clock: FakeClock) -> None:
        control.reserve_spend("acme", D1, Spend(5, 5), Spend(9, 9), call_id="1", lost="lost")
        clock.advance(LLM_CALL_LOST.total_seconds() - 1)
        assert control.unpublished_calls("acme") == {}
        clock.advance(1)
        assert control.unpublished_calls("acme") == {"1": "lost"}
        assert control.spend("acme", D1) == Spend(5, 5)

    # ----------------------------------------------------------------------------------------- leases
    def test_a_held_lease_is_given_to_nobody_else(self, control: Control, clock: FakeClock) -> None:
        assert control.lease("acme", "a", 30) is not None
        clock.advance(29.9)
        assert control.lease("acme", "b", 30) is None
        assert control.lease("acme", "a", 30) is None
        assert control.lease("globex", "b", 30) is not None

    def test_every_new_holder_has_a_higher_fence(self, control: Control, clock: FakeClock) -> None:
        first = control.lease("acme", "a", 30)
        assert first is not None
        control.release(first)
        second = control.lease("acme", "a", 30)
        assert second is not None
        clock.advance(30)
        third = control.lease("acme", "b", 30)
        assert third is not None
        assert first.fence < second.fence < third.fence

    def test_a_renewed_lease_lasts_longer(self, control: Control, clock: FakeClock) -> None:
        lease = control.lease("acme", "a", 30)
        assert lease is not None
        clock.advance(20)
        renewed = control.renew(lease, 30)
        assert renewed.fence == lease.fence
        clock.advance(20)
        assert control.lease("acme", "b", 30) is None

    def test_an_expired_lease_that_nobody_took_can_be_renewed(
        self, control: Control, clock: FakeClock
    ) -> None:
        lease = control.lease("acme", "a", 30)
        assert lease is not None
        clock.advance(31)
        control.renew(lease, 30)
        assert control.lease("acme", "b", 30) is None

    def test_who_lost_the_lease_clears_nothing(self, control: Control, clock: FakeClock) -> None:
        control.mark_dirty("acme", Stage.SILVER, [D1])
        lost = control.lease("acme", "a", 30)
        clock.advance(31)
        assert lost is not None
        assert control.lease("acme", "b", 30) is not None
        pinned = control.dirty()
        with pytest.raises(LeaseLost):
            control.finish_stage(lost, pinned, next_stage=Stage.STAGE1, next_dates=[D1])
        with pytest.raises(LeaseLost):
            control.renew(lost, 30)
        control.release(lost)
        assert control.dirty() == pinned
        assert control.lease("acme", "c", 30) is None

    def test_a_holder_that_is_gone_gives_all_its_leases_back_and_loses_what_it_still_tries(
        self, control: Control
    ) -> None:
        gone = [control.lease(tenant, "a", 30, lane) for tenant in ("acme", "globex") for lane in Lane]
        kept = control.lease("initech", "b", 30)
        assert control.release_holder("a") == len(gone)
        assert control.release_holder("a") == 0
        assert control.lease("initech", "c", 30) is None
        taken = control.lease("acme", "c", 30)
        assert taken is not None
        assert gone[0] is not None
        assert kept is not None
        assert taken.fence == gone[0].fence + 1
        with pytest.raises(LeaseLost):
            control.renew(gone[0], 30)

    def test_each_lane_has_a_lease_and_fences_of_its_own(self, control: Control) -> None:
        runner = control.lease("acme", "a", 30)
        assert runner is not None
        control.release(runner)
        again = control.lease("acme", "a", 30)
        insights = control.lease("acme", "a", 30, Lane.INSIGHTS)
        assert again is not None
        assert insights is not None
        assert (again.lane, again.fence) == (Lane.RUNNER, runner.fence + 1)
        assert (insights.lane, insights.fence) == (Lane.INSIGHTS, runner.fence)
        control.release(insights)
        assert control.lease("acme", "b", 30) is None
        assert control.lease("acme", "b", 30, Lane.INSIGHTS) is not None

    def test_of_many_threads_one_gets_the_lease(self, control: Control) -> None:
        start = threading.Barrier(8)

        def grab(n: int) -> bool:
            start.wait()
            return control.lease("acme", f"runner-{n}", 30) is not None

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(grab, range(8))) == 1

    def test_what_was_written_is_there_after_a_restart(self, control: Control, url: str) -> None:
        control.put_tenant("acme")
        control.mark_dirty("acme", Stage.SILVER, [D1])
        control.close()
        again = Control(url)
        assert again.dirty() == [DirtyDay("acme", Stage.SILVER, D1, mark=1, attempts=0)]
        again.close()


class TestSqlite(ControlContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/state/control.db"


@pytest.mark.parametrize("url", ["not a url", "sqlite://", "mysql://host/db"])
def test_a_store_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="control_url"):
        Control(url)


def test_a_store_that_does_not_answer_is_transient(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageUnavailable, match="did not answer"):
        Control(f"sqlite:///{tmp_path}/control.db").migrate()
