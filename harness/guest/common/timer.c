// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one timer of the host's program: each reply says when, in guest time, it wants to be asked next.
 *
 * It has no clock of its own, so that what it does by itself comes at the same guest time in every run.
 * One that wants the past again and again must not stop the guest, so it is asked a little later than now.
 */
#include "call.h"

#include <linux/hrtimer.h>

#define SOON_NS (100 * NSEC_PER_USEC)

static struct hrtimer timer;
static u64 wanted_ns;	/* 0: not wanted; under the mailbox's lock */

static enum hrtimer_restart expire(struct hrtimer *unused)
{
	struct call call = { .kind = KIND_TIMER };
	unsigned long flags = mailbox_lock();

	/* A reply on another processor may have changed its mind while this one waited for the lock. */
	if (wanted_ns && wanted_ns <= ktime_get_ns()) {
		wanted_ns = 0;
		mailbox_exchange_locked(&call);
	}
	mailbox_unlock(flags);
	return HRTIMER_NORESTART;
}

void timer_want(u64 time_ns)
{
	if (time_ns)
		time_ns = clamp_t(u64, time_ns, ktime_get_ns() + SOON_NS, KTIME_MAX);
	if (time_ns == wanted_ns)
		return;
	wanted_ns = time_ns;
	if (time_ns)
		hrtimer_start(&timer, ns_to_ktime(time_ns), HRTIMER_MODE_ABS_HARD);
	else
		hrtimer_try_to_cancel(&timer);
}

void timer_init(void)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	timer.function = expire;
}
