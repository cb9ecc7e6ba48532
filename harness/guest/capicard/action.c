// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actions: what a reply of the host's program makes the guest's half do, one row for each kind.
 *
 * They are carried out in the reply's order. One that asks for the impossible is refused in the kernel log
 * and left out: the host's program is wrong then, not the driver under test.
 */
#include "capicard.h"

#include <linux/mm.h>

static int isolate(struct call *call, u64 card, u64 b)
{
	call->has_changed_areas = true;
	return card_at(card) ? card_cover(card_at(card), true) : -ENODEV;
}

static int expose(struct call *call, u64 card, u64 b)
{
	call->has_changed_areas = true;
	return card_at(card) ? card_cover(card_at(card), false) : -ENODEV;
}

static int raise_irq(struct call *call, u64 card, u64 ivte)
{
	return irq_raise(card, ivte);
}

/* What a card's master access would write, to the status word of a process element command. */
static int write_memory(struct call *call, u64 address, u64 value)
{
	if (address % sizeof(u64) || !pfn_valid(PHYS_PFN(address)))
		return -EINVAL;
	WRITE_ONCE(*(u64 *)__va(address), value);
	smp_wmb();
	return 0;
}

static const struct {
	const char *name;
	int (*perform)(struct call *call, u64 a, u64 b);
} actions[] = {
	[ACTION_ISOLATE] = { "isolate", isolate },
	[ACTION_EXPOSE] = { "expose", expose },
	[ACTION_RAISE] = { "raise", raise_irq },
	[ACTION_WRITE] = { "write", write_memory },
};

void carry_out(struct call *call, u64 kind, u64 a, u64 b, u64 c)
{
	int rc;

	if (kind >= ARRAY_SIZE(actions) || !actions[kind].perform) {
		pr_err_ratelimited("the reply has an action of kind %llu, which is not known here\n", kind);
		return;
	}
	rc = actions[kind].perform(call, a, b);
	if (rc)
		pr_err_ratelimited("action %s(%#llx, %#llx) refused: error %d\n", actions[kind].name, a, b, rc);
}
