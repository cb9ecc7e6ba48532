// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watch on a card's registers: what driver and processes have stored there goes to the host.
 *
 * A card's memory is RAM, so nothing happens by itself when a register is stored to. A timer looks at those
 * that make hardware act, and tells the host as long as one of them waits for an answer; the host answers by
 * changing registers, which it shares, and by actions. Of two stores to one register within a period the
 * first is not seen.
 *
 * It is what the registers say that counts, not that they have changed: the driver may store the next order
 * on one processor while another still takes the answer to the last.
 *
 * The text of the request are the first elements of each AFU's scheduled process area, which lies in memory
 * of this guest: SPA_BYTES for each slice.
 */
#include "capicard.h"

#include <linux/hrtimer.h>
#include <linux/io.h>
#include <linux/mm.h>

#define PERIOD_NS	(1 * NSEC_PER_MSEC)

#define PSL_CONTROL	(P1_OFFSET + 0x20)
#define FLUSH		(1ULL << 32)
#define FLUSHED		(3ULL << 34)

#define P1N(slice, offset)	(P1N_OFFSET + (slice) * 0x100 + (offset))
#define P2N(slice, offset)	(P2_OFFSET + (slice) * 0x1000 + (offset))
#define SPAP_AN		0x88
#define SPAP_ADDRESS	0x0ffffffffffff000ULL
#define SPAP_VALID	1
#define SPA_BYTES	(16 * 128)
#define LLCMD_AN	0x90
#define TFC_AN		0x78
#define AFU_CNTL_AN	0x90
#define ENABLED		(4ULL << 61)
#define ENABLE		(1ULL << 60)
#define RESET_STATUS	(3ULL << 58)
#define RESET_DONE	(2ULL << 58)
#define RESET		(1ULL << 56)

#define AREAS		4	/* of problem state: the AFU's, then those of processes */
#define AREA(slice, i)	(PS_OFFSET + (slice) * PS_BYTES + (i) * 0x10000)
#define SCRATCH		0x08
#define COMMAND		0x18

static_assert(SLICES_MAX * SPA_BYTES <= TEXT_BYTES);
static_assert(SLICES_MAX * AREAS == ARRAY_SIZE(((struct card *)0)->scratch));

static struct hrtimer timer;
static u8 spas[SLICES_MAX * SPA_BYTES];		/* under the mailbox's lock */

static u64 get(struct card *card, unsigned int offset)
{
	return be64_to_cpu((__force __be64)__raw_readq(card->memory + offset));
}

/* All Fs is what a load gives that an isolation has overtaken on another processor, and a dead area. */
static bool is_order(struct card *card, unsigned int offset)
{
	u64 value = get(card, offset);

	return value && value != ~0ULL;
}

static bool wants_flush(struct card *card)
{
	u64 control = get(card, PSL_CONTROL);

	return (control & FLUSHED) != (control & FLUSH ? FLUSHED : 0);
}

static bool wants_control(struct card *card, unsigned int slice)
{
	u64 control = get(card, P2N(slice, AFU_CNTL_AN));

	if (control & RESET)
		return (control & RESET_STATUS) != RESET_DONE;
	return control & RESET_STATUS || !(control & ENABLED) != !(control & ENABLE);
}

/* A store to SCRATCH is noted in the AFU's log, in time or with the next exchange. */
static bool has_new_scratch(struct card *card, unsigned int slice, unsigned int area)
{
	u64 value = get(card, AREA(slice, area) + SCRATCH);
	u64 *seen = &card->scratch[slice * AREAS + area];
	bool is_new = value != *seen;

	*seen = value;
	return is_new;
}

static bool slice_waits(struct card *card, unsigned int slice)
{
	bool is_waiting = is_order(card, P1N(slice, LLCMD_AN)) || is_order(card, P2N(slice, TFC_AN)) ||
			  wants_control(card, slice);
	unsigned int area;

	for (area = 0; area < AREAS; area++)
		is_waiting |= is_order(card, AREA(slice, area) + COMMAND) | has_new_scratch(card, slice, area);
	return is_waiting;
}

static bool card_waits(struct card *card)
{
	bool is_waiting = wants_flush(card);
	unsigned int slice;

	for (slice = 0; slice < SLICES_MAX; slice++)
		is_waiting |= slice_waits(card, slice);
	return is_waiting;
}

static void copy_spa(struct card *card, unsigned int slice)
{
	u64 spap = get(card, P1N(slice, SPAP_AN));
	u64 address = spap & SPAP_ADDRESS;
	void *to = spas + slice * SPA_BYTES;

	if (spap & SPAP_VALID && pfn_valid(PHYS_PFN(address)))
		memcpy(to, __va(address), SPA_BYTES);
	else
		memset(to, 0, SPA_BYTES);
}

static void tell(struct card *card)
{
	struct call call = { .kind = KIND_REGISTERS, .opcode = card->index, .text = spas, .text_bytes = sizeof(spas) };
	unsigned int slice;

	for (slice = 0; slice < SLICES_MAX; slice++)
		copy_spa(card, slice);
	mailbox_exchange_locked(&call);
}

static enum hrtimer_restart expire(struct hrtimer *unused)
{
	unsigned long flags = mailbox_lock();
	unsigned int index;

	for (index = 0; index < cards_count(); index++) {
		struct card *card = card_at(index);

		if (card->memory && !card_is_isolated(card) && card_waits(card))
			tell(card);
	}
	mailbox_unlock(flags);
	hrtimer_forward_now(&timer, PERIOD_NS);
	return HRTIMER_RESTART;
}

void watch_open(void)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	timer.function = expire;
	hrtimer_start(&timer, PERIOD_NS, HRTIMER_MODE_REL_HARD);
}
