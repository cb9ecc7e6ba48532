/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of this module ask of each other; "locked" is explained in call.h.
 */
#ifndef PHYPSIM_H
#define PHYPSIM_H

#include "call.h"

#define AFUS_MAX	8
#define CARDS_MAX	2

/* Where QEMU plugs the shared memory devices in. */
#define MAILBOX_SLOT	0x10
#define AFU_SLOT(afu)	(0x11 + (afu))

/* An AFU's memory: problem state areas of the processes, then the p2n registers. */
#define PROCESS_AREA_BYTES	0x10000
#define PROCESS_AREAS		14
#define P2N_OFFSET		0xf0000
#define P2N_BYTES		0x10000
#define COMMAND_REGISTER	0x18

/*
 * Interrupts: hardware numbers at the far end of those that the machine's controller knows, where QEMU
 * puts no device. PHYP shares them out; an index counts from the first.
 */
#define IRQ_FIRST		0x1e00
#define IRQ_COUNT		0x80

/* gate.c */
struct pci_dev *find_shared_memory(unsigned int slot);

/* park.c */
int park(struct call *call, u64 token);		/* locked */
int release_parked(u64 token);			/* locked */
u64 sleep_parked(struct parked *parked);	/* gives the token back */

/* area.c */
int areas_open(void);
unsigned int areas_count(void);
phys_addr_t area_address(unsigned int afu);
resource_size_t area_bytes(unsigned int afu);
int area_isolate(u64 afu, bool is_isolated);	/* locked */
int area_watch(u64 afu, u64 bitmap);		/* locked */

/* irq.c */
int irqs_open(void);
int irq_raise(u64 index);			/* locked */

/* facility.c */
int facilities_hello(void);
int facility_later(u64 card, bool is_return, bool needs_worker);	/* locked */
void facilities_now(void);			/* may sleep */

#endif
