// SPDX-License-Identifier: GPL-2.0-only
/*
 * A card's memory: where it lies, and its isolation.
 *
 * The memory is that of an ivshmem device. Isolation is the machine's own, so that mappings which a process
 * has already are isolated too: the device has an expansion ROM as large as its memory and full of Fs, and
 * both are put at the one address that Linux has given to the card. While the ROM is enabled it lies on top:
 * loads give all Fs, stores are dropped, and the memory keeps its contents beneath.
 */
#include "capicard.h"

#include <linux/io.h>
#include <asm/eeh.h>

#define REAL_BAR	(PCI_BASE_ADDRESS_0 + 2 * sizeof(u32))	/* of the shared memory */
#define WINDOW		0	/* BAR of the card in which all of its memory lies, until it is divided */
#define P1_BAR		2
#define SAVED(where)	((where) / sizeof(u32))

static void place_real(struct card *card)
{
	config_write_real(card, PCI_COMMAND, 2, 0);
	config_write_real(card, PCI_BASE_ADDRESS_0, 4, 0);
	config_write_real(card, PCI_BASE_ADDRESS_1, 4, 0);
	config_write_real(card, REAL_BAR, 4, card->bus_address);
	config_write_real(card, REAL_BAR + 4, 4, 0);
	config_write_real(card, PCI_ROM_ADDRESS, 4,
			  card->bus_address | (card_is_isolated(card) ? PCI_ROM_ADDRESS_ENABLE : 0));
	config_write_real(card, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* After a reset the EEH core writes what it had saved when it met the device, past config.c. */
static void let_eeh_restore(struct card *card, struct pci_dev *device)
{
	struct eeh_dev *edev = pci_dev_to_eeh_dev(device);

	if (!edev)
		return;
	memset(&edev->config_space[SAVED(PCI_BASE_ADDRESS_0)], 0, 6 * sizeof(u32));
	edev->config_space[SAVED(REAL_BAR)] = card->bus_address;
	edev->config_space[SAVED(PCI_ROM_ADDRESS)] = card->bus_address;
}

/* The driver expects two windows where Linux has assigned one. */
static int divide(struct card *card, struct pci_dev *device)
{
	struct resource *all = &device->resource[WINDOW];
	struct resource *p1 = &device->resource[P1_BAR];
	resource_size_t start = all->start;
	int rc;

	rc = adjust_resource(all, start + P2_OFFSET, P2_BYTES);
	if (rc)
		return rc;
	p1->name = all->name;
	p1->flags = all->flags;
	p1->start = start + P1_OFFSET;
	p1->end = p1->start + P1_BYTES - 1;
	return all->parent ? request_resource(all->parent, p1) : -EINVAL;
}

int card_place(struct card *card, struct pci_dev *device)
{
	struct resource *window = &device->resource[WINDOW];
	struct pci_bus_region region;
	unsigned long flags;
	int rc;

	if (device->resource[P1_BAR].parent)
		return 0;	/* this one has been here before: another driver is bound, or the same again */
	if (!window->parent || resource_size(window) != CARD_BYTES) {
		pr_err("card %u: window %pR, but %#x bytes are needed\n", card->index, window, CARD_BYTES);
		return -ENODEV;
	}
	pcibios_resource_to_bus(device->bus, &region, window);
	flags = mailbox_lock();
	card->bus_address = region.start;
	writel(region.start, card->state + offsetof(struct card_state, bus_address));
	place_real(card);
	mailbox_unlock(flags);
	let_eeh_restore(card, device);

	if (card->address != window->start) {
		void __iomem *before = card->memory, *now = ioremap(window->start, CARD_BYTES);

		if (!now)
			return -ENOMEM;
		flags = mailbox_lock();
		card->address = window->start;
		card->memory = now;
		mailbox_unlock(flags);
		if (before)
			iounmap(before);
	}
	rc = divide(card, device);
	if (rc)
		pr_err("card %u: its window cannot be divided: error %d\n", card->index, rc);
	return rc;
}

/* The host says so in shared memory, because it can isolate a card when nobody asks it for anything. */
bool card_is_isolated(struct card *card)
{
	return readl(card->state + offsetof(struct card_state, is_isolated));
}

int card_cover(struct card *card, bool is_covered)
{
	if (!card->bus_address)
		return 0;
	/* A reset has taken the device's decoders away, and what EEH restores is not always all. */
	if (!is_covered) {
		place_real(card);
		return 0;
	}
	/* EEH lets nothing through during a reset; then it is done when the reset's isolation ends. */
	config_write_real(card, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	config_write_real(card, PCI_ROM_ADDRESS, 4, card->bus_address | PCI_ROM_ADDRESS_ENABLE);
	return 0;
}

struct eeh_dev *card_eeh_dev(struct card *card)
{
	struct pci_dev *device = READ_ONCE(card->device);

	return device ? pci_dev_to_eeh_dev(device) : NULL;
}

int card_pe(struct card *card)
{
	struct eeh_dev *edev = card_eeh_dev(card);

	return edev && edev->pe ? edev->pe->addr : -1;
}
