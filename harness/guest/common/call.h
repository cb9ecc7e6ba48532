/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A call to the host, and what each module that makes calls must supply: phypsim below a PowerVM guest's
 * driver, capicard below a bare-metal host's.
 *
 * "Locked" in a comment means: called with the mailbox's lock held and interrupts off.
 */
#ifndef CAPI_CALL_H
#define CAPI_CALL_H

#include <linux/pci.h>
#include <linux/types.h>

#include "mailbox.h"

#undef pr_fmt
#define pr_fmt(format) KBUILD_MODNAME ": " format

#define IVSHMEM_VENDOR	0x1af4
#define IVSHMEM_DEVICE	0x1110
#define IVSHMEM_BAR	2

struct parked;

/* One request, and what its sender wants to know of the reply. */
struct call {
	u64 kind;
	u64 opcode;
	u64 args[ARGS];
	bool may_sleep;
	const void *text;
	u32 text_bytes;

	char *answer;		/* room of TEXT_BYTES for the reply's text; may be NULL */
	u32 answer_bytes;
	bool has_reply;		/* a sound one; without it rc is H_HARDWARE */
	s64 rc;
	u64 ret[ARGS];
	struct parked *parked;	/* set when the sender has to sleep and then ask again with KIND_WAKE */
	bool has_changed_areas;	/* set by an isolation or its end */
};

/* mailbox.c */
int mailbox_open(struct pci_dev *device);
void mailbox_exchange(struct call *call);
void mailbox_exchange_locked(struct call *call);
unsigned long mailbox_lock(void);
void mailbox_unlock(unsigned long flags);
int mailbox_copy_text(void *to, u64 offset, u64 bytes);		/* locked, from the reply at hand */
bool mailbox_has_answer(u64 seq);				/* locked */

/* timer.c */
void timer_init(void);
void timer_want(u64 time_ns);			/* locked */

/* console.c */
int console_open(void);

/* By each module for itself: who stands still until the host has answered `seq`; what a reply can ask for;
 * what a writer of the console sees to when its reply has come; what the console is called. */
bool pass_gate(u64 seq);			/* locked */
void carry_out(struct call *call, u64 kind, u64 a, u64 b, u64 c);	/* locked */
void order_prepare(struct call *call);
void order_done(void);
extern const char console_name[];

#endif
