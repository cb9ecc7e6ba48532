// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the EEH core does to a PE, as the host has to know: resets, thaws and freezes of cards', thaws of others'.
 *
 * The kernel performs them by calls of the firmware, which act on QEMU's PHB; nothing there is a card. So the
 * kernel's own functions are watched with kprobes. All run with preemption off.
 */
#include "capicard.h"

#include <linux/kprobes.h>
#include <asm/eeh.h>

/* The first arguments of a function are in registers 3 and up. */
static u64 argument(struct pt_regs *regs, unsigned int number)
{
	return regs->gpr[3 + number];
}

static void tell(u64 kind, u64 whom, u64 a, u64 b)
{
	struct call call = { .kind = kind, .opcode = whom, .args = { a, b } };
	unsigned long flags = mailbox_lock();

	mailbox_exchange_locked(&call);
	mailbox_unlock(flags);
}

/* pnv_eeh_reset(pe, option): reset asserted; its end is no matter. */
static int before_reset(struct kprobe *probe, struct pt_regs *regs)
{
	struct eeh_pe *pe = (struct eeh_pe *)argument(regs, 0);
	int option = argument(regs, 1);
	unsigned int index;

	if (option != EEH_RESET_HOT && option != EEH_RESET_FUNDAMENTAL)
		return 0;
	for (index = 0; index < cards_count(); index++)
		if (card_at(index)->phb == pe->phb)
			tell(KIND_RESET, index, option, !!(pe->state & EEH_PE_RECOVERING));
	return 0;
}

/* opal_pci_eeh_freeze_clear(phb, pe, what), and likewise _set. Says whether there is a card. */
static bool on_state(struct pt_regs *regs, u64 kind)
{
	unsigned int index;

	for (index = 0; index < cards_count(); index++) {
		if (card_at(index)->opal_id == argument(regs, 0)) {
			tell(kind, index, argument(regs, 1), argument(regs, 2));
			return true;
		}
	}
	return false;
}

/* A device must find that its DMA gets through as soon as its driver starts it again. */
static int before_thaw(struct kprobe *probe, struct pt_regs *regs)
{
	if (!on_state(regs, KIND_THAW))
		tell(KIND_THAW_PHB, argument(regs, 0), argument(regs, 1), argument(regs, 2));
	return 0;
}

static int before_freeze(struct kprobe *probe, struct pt_regs *regs)
{
	on_state(regs, KIND_FREEZE);
	return 0;
}

static struct kprobe probes[] = {
	{ .symbol_name = "pnv_eeh_reset", .pre_handler = before_reset },
	{ .symbol_name = "opal_pci_eeh_freeze_clear", .pre_handler = before_thaw },
	{ .symbol_name = "opal_pci_eeh_freeze_set", .pre_handler = before_freeze },
};

int eeh_open(void)
{
	unsigned int i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		rc = register_kprobe(&probes[i]);
		if (rc) {
			pr_err("no probe at %s: error %d\n", probes[i].symbol_name, rc);
			return rc;
		}
	}
	return 0;
}
