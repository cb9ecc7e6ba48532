// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actions: what a reply of the simulated PHYP makes the guest's half do, one row for each kind.
 *
 * They are carried out in the reply's order, before the hcall returns. One that asks for the impossible
 * is refused in the kernel log and left out: the host's program is wrong then, not the driver under test.
 */
#include "phypsim.h"

#include <linux/mm.h>

static int isolate(struct call *call, u64 afu, u64 b, u64 c)
{
	call->has_changed_areas = true;
	return area_isolate(afu, true);
}

static int expose(struct call *call, u64 afu, u64 b, u64 c)
{
	call->has_changed_areas = true;
	return area_isolate(afu, false);
}

static int raise_irq(struct call *call, u64 index, u64 b, u64 c)
{
	return irq_raise(index);
}

static int park_caller(struct call *call, u64 token, u64 b, u64 c)
{
	return park(call, token);
}

static int release(struct call *call, u64 token, u64 b, u64 c)
{
	return release_parked(token);
}

/* Who writes to the console sees to it himself when his request is over; nobody else can. */
static int remove_facility(struct call *call, u64 card, u64 b, u64 c)
{
	return facility_later(card, false, call->kind != KIND_CONSOLE);
}

static int return_facility(struct call *call, u64 card, u64 b, u64 c)
{
	return facility_later(card, true, call->kind != KIND_CONSOLE);
}

/* Write into a buffer of the driver's: real memory, and within one page, as the interface has it. */
static int copy(struct call *call, u64 address, u64 bytes, u64 offset)
{
	if (bytes > TEXT_BYTES || address > PHYS_ADDR_MAX - bytes ||
	    (bytes && PHYS_PFN(address) != PHYS_PFN(address + bytes - 1)) ||
	    !pfn_valid(PHYS_PFN(address)))
		return -EINVAL;
	return mailbox_copy_text(__va(address), offset, bytes);
}

static int watch(struct call *call, u64 afu, u64 bitmap, u64 c)
{
	return area_watch(afu, bitmap);
}

static const struct {
	const char *name;
	int (*perform)(struct call *call, u64 a, u64 b, u64 c);
} actions[] = {
	[ACTION_ISOLATE] = { "isolate", isolate },
	[ACTION_EXPOSE] = { "expose", expose },
	[ACTION_RAISE] = { "raise", raise_irq },
	[ACTION_PARK] = { "park", park_caller },
	[ACTION_RELEASE] = { "release", release },
	[ACTION_REMOVE_FACILITY] = { "remove facility", remove_facility },
	[ACTION_RETURN_FACILITY] = { "return facility", return_facility },
	[ACTION_COPY] = { "copy", copy },
	[ACTION_WATCH] = { "watch", watch },
};

void carry_out(struct call *call, u64 kind, u64 a, u64 b, u64 c)
{
	int rc;

	if (kind >= ARRAY_SIZE(actions) || !actions[kind].perform) {
		pr_err_ratelimited("the reply has an action of kind %llu, known are 1 to %zu\n",
				   kind, ARRAY_SIZE(actions) - 1);
		return;
	}
	rc = actions[kind].perform(call, a, b, c);
	if (rc)
		pr_err_ratelimited("action %s(%#llx, %#llx, %#llx) refused: error %d\n",
				   actions[kind].name, a, b, c, rc);
}
