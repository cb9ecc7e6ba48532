// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watch on a card's registers: what driver and processes have stored there goes to the host.
 *
 * A card's memory is RAM, so nothing happens by itself when a register is stored to. A timer looks at those
 * that make hardware act. When one has another value than after the last exchange, the host is told; it
 * answers by changing registers, which it shares, and by actions. Of two stores to one register within a
 * period the first is not seen.
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
#define SPAP_AN		0x88
#define SPAP_ADDRESS	0x0ffffffffffff000ULL
#define SPAP_VALID	1
#define SPA_BYTES	(16 * 128)

#define AREAS		4	/* of problem state: the AFU's, then those of processes */
#define AREA_BYTES	0x10000
#define SCRATCH		0x08
#define COMMAND		0x18

static const unsigned int p1n[] = { 0x28, 0x88, 0x90, 0xa0 };	/* SERR, SPAP, LLCMD, SCNTL */
static const unsigned int p2n[] = { 0x60, 0x78, 0x88, 0x90 };	/* DSISR, TFC, ErrStat, AFU_Cntl */

static_assert(1 + SLICES_MAX * (ARRAY_SIZE(p1n) + ARRAY_SIZE(p2n) + 2 * AREAS) <= REGISTERS_MAX);
static_assert(SLICES_MAX * SPA_BYTES <= TEXT_BYTES);

static struct hrtimer timer;
static u8 spas[SLICES_MAX * SPA_BYTES];		/* under the mailbox's lock */

/* Gives whether any register differs from what was seen; with `is_noted` it is seen now. */
static bool look(struct card *card, bool is_noted)
{
	bool has_changed = false;
	unsigned int slice, i, n = 0;

#define LOOK_AT(offset) \
	do { \
		u64 value = __raw_readq(card->memory + (offset)); \
		has_changed |= value != card->seen[n]; \
		if (is_noted) \
			card->seen[n] = value; \
		n++; \
	} while (0)

	LOOK_AT(PSL_CONTROL);
	for (slice = 0; slice < SLICES_MAX; slice++) {
		for (i = 0; i < ARRAY_SIZE(p1n); i++)
			LOOK_AT(P1N_OFFSET + slice * 0x100 + p1n[i]);
		for (i = 0; i < ARRAY_SIZE(p2n); i++)
			LOOK_AT(P2_OFFSET + slice * 0x1000 + p2n[i]);
		for (i = 0; i < AREAS; i++) {
			LOOK_AT(PS_OFFSET + slice * PS_BYTES + i * AREA_BYTES + SCRATCH);
			LOOK_AT(PS_OFFSET + slice * PS_BYTES + i * AREA_BYTES + COMMAND);
		}
	}
#undef LOOK_AT
	return has_changed;
}

void watch_note(struct card *card)
{
	if (card->memory && !card_is_isolated(card))
		look(card, true);
}

static void copy_spa(struct card *card, unsigned int slice)
{
	u64 spap = readq_be(card->memory + P1N_OFFSET + slice * 0x100 + SPAP_AN);
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
	watch_note(card);
}

static enum hrtimer_restart expire(struct hrtimer *unused)
{
	unsigned long flags = mailbox_lock();
	unsigned int index;

	for (index = 0; index < cards_count(); index++) {
		struct card *card = card_at(index);

		if (card->memory && !card_is_isolated(card) && look(card, false))
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
