// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parked hcalls: a caller of an hcall sleeps until the simulated PHYP lets it go on.
 *
 * This is what makes an hcall a hold point: the driver stays in the middle of it, whatever else happens,
 * and interleavings become exact. The sleep counts neither as load nor as a hung task, because it is the
 * test that holds the task up, not the driver.
 */
#include "phypsim.h"

#include <linux/wait.h>

#define PARKED_MAX 32

struct parked {
	u64 token;
	bool is_taken;
	bool is_released;
};

static struct parked places[PARKED_MAX];
static DECLARE_WAIT_QUEUE_HEAD(released);

int park(struct call *call, u64 token)
{
	int i;

	if (!call->may_sleep || call->parked)
		return -EPERM;
	for (i = 0; i < PARKED_MAX; i++) {
		if (places[i].is_taken)
			continue;
		places[i] = (struct parked){ .token = token, .is_taken = true };
		call->parked = &places[i];
		return 0;
	}
	return -ENOSPC;
}

int release_parked(u64 token)
{
	int i;

	for (i = 0; i < PARKED_MAX; i++) {
		if (!places[i].is_taken || places[i].is_released || places[i].token != token)
			continue;
		WRITE_ONCE(places[i].is_released, true);
		wake_up_all(&released);
		return 0;
	}
	return -ENOENT;
}

u64 sleep_parked(struct parked *parked)
{
	u64 token = parked->token;
	unsigned long flags;

	wait_event_idle(released, READ_ONCE(parked->is_released));
	flags = mailbox_lock();
	parked->is_taken = false;
	mailbox_unlock(flags);
	return token;
}
