/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of this module ask of each other; "locked" is explained in call.h.
 */
#ifndef CAPICARD_H
#define CAPICARD_H

#include "call.h"

#define CARDS_MAX	2
#define SLICES_MAX	2	/* AFUs of a card */

/*
 * The memory of a card, by offset. The driver finds the two windows in BAR 2 (privileged 1) and BAR 0
 * (privileged 2, AFU descriptors and problem state, by the VSEC).
 */
#define CARD_DEVFN		0
#define CARD_BYTES		0x400000
#define P1_OFFSET		0x000000
#define P1_BYTES		0x020000
#define P1N_OFFSET		0x010000	/* + 0x100 for each slice */
#define P2_OFFSET		0x100000	/* + 0x1000 for each slice */
#define P2_BYTES		0x300000
#define PS_OFFSET		0x200000	/* + 0x100000 for each slice */
#define PS_BYTES		0x100000

/* The configuration space that a card shows lies in the mailbox's memory: contents, then writable bits. */
#define CONFIG_BYTES		0x1000
#define CONFIG_OFFSET(card)	(0x100000 + (card) * 2 * CONFIG_BYTES)

/* What the host wants of the module as a whole. */
#define WISHES_OFFSET		0x17f000
#define WISH_MEND_CDEV		1	/* see cdev.c */

/* Beside it, what host and guest tell each other of a card without a request. */
#define STATE_OFFSET(card)	(0x180000 + (card) * 0x1000)

struct card_state {
	__le32 is_isolated;		/* by the host */
	__le32 bus_address;		/* by the guest: of memory and ROM; 0: not placed yet */
};

struct card {
	unsigned int index;
	struct pci_dev *device;		/* NULL: Linux does not know it at the moment */
	struct pci_controller *phb;	/* below which it is the only device but the root port */
	u64 opal_id;			/* of the PHB */
	struct pci_ops *real;		/* how the bus is really reached */

	void __iomem *config;		/* contents, then writable bits */
	void __iomem *state;
	void __iomem *memory;		/* NULL: not placed yet */
	phys_addr_t address;
	u32 bus_address;

	u64 scratch[8];			/* what was in the test AFUs' SCRATCH registers */
};

/* main.c */
struct card *card_at(u64 index);			/* NULL: there is none */
struct card *card_on(struct pci_bus *bus);	/* below the PHB of that bus */
unsigned int cards_count(void);

/* doorbell.c */
int doorbell_open(void);
void __iomem *doorbell_memory(unsigned long offset);

/* card.c */
int card_place(struct card *card, struct pci_dev *device);
int card_cover(struct card *card, bool is_covered);	/* locked */
bool card_is_isolated(struct card *card);
struct eeh_dev *card_eeh_dev(struct card *card);	/* NULL: none */
int card_pe(struct card *card);				/* number of its EEH PE; negative for none */

/* config.c */
void config_take_over(struct card *card);
void config_write_real(struct card *card, int where, int size, u32 value);
u32 config_read(struct card *card, int where, int size);

/* watch.c */
void watch_open(void);

/* irq.c */
int irq_raise(u64 card, u64 ivte);			/* locked */

/* eeh.c */
int eeh_open(void);

#endif
