// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration space of a card, as all of Linux sees it but the EEH core, which asks the firmware.
 *
 * What is in it is decided on the host: contents and writable bits lie in shared memory. BAR 0 is one window
 * for all of the card's memory; card.c divides it. Only whether the device decodes memory, and is a master,
 * is passed on to the real device.
 *
 * While the card is isolated every read gives all Fs, and so is a suspicion for EEH, as in the platform's own
 * functions; writes are dropped.
 */
#include "capicard.h"

#include <linux/io.h>
#include <asm/eeh.h>
#include <asm/pci-bridge.h>

#define PASSED_ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

static u32 all_ones(int size)
{
	return size == 4 ? ~0U : (1U << (8 * size)) - 1;
}

static u32 get(void __iomem *from, int size)
{
	return size == 1 ? readb(from) : size == 2 ? readw(from) : readl(from);
}

static void put(void __iomem *to, int size, u32 value)
{
	if (size == 1)
		writeb(value, to);
	else if (size == 2)
		writew(value, to);
	else
		writel(value, to);
}

static bool is_out_of_range(int where, int size)
{
	return where < 0 || where + size > CONFIG_BYTES || where % size;
}

u32 config_read(struct card *card, int where, int size)
{
	return get(card->config + where, size);
}

static int read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct card *card = card_on(bus);
	struct eeh_dev *edev;
	int rc;

	if (pci_is_root_bus(bus) || devfn != CARD_DEVFN || is_out_of_range(where, size))
		return card->real->read(bus, devfn, where, size, value);
	/* The real device says whether it may be asked at all: EEH forbids that during a reset. */
	rc = card->real->read(bus, devfn, where % 4, size, value);
	if (rc)
		return rc;
	if (!card_is_isolated(card)) {
		*value = config_read(card, where, size);
		return PCIBIOS_SUCCESSFUL;
	}
	*value = all_ones(size);
	edev = card_eeh_dev(card);
	return edev && eeh_dev_check_failure(edev) ? PCIBIOS_DEVICE_NOT_FOUND : PCIBIOS_SUCCESSFUL;
}

static int write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct card *card = card_on(bus);
	u32 mask, unused;
	int rc;

	if (pci_is_root_bus(bus) || devfn != CARD_DEVFN || is_out_of_range(where, size))
		return card->real->write(bus, devfn, where, size, value);
	rc = card->real->read(bus, devfn, where % 4, size, &unused);
	if (rc || card_is_isolated(card))
		return rc;
	mask = get(card->config + CONFIG_BYTES + where, size);
	put(card->config + where, size, (config_read(card, where, size) & ~mask) | (value & mask));
	if (where == PCI_COMMAND)
		return card->real->write(bus, devfn, PCI_COMMAND, 2, value & PASSED_ON);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops operations = { .read = read, .write = write };

/* A card that Linux does not know has no user, and its bus may be gone: it is placed when it is back. */
void config_write_real(struct card *card, int where, int size, u32 value)
{
	struct pci_dev *device = READ_ONCE(card->device);

	if (device)
		card->real->write(device->bus, device->devfn, where, size, value);
}

/* The bus below the root port takes its operations from the one above it, whenever it is made anew. */
void config_take_over(struct card *card)
{
	card->real = pci_bus_set_ops(card->phb->bus, &operations);
	WARN_ON(!list_is_singular(&card->phb->bus->children));
	pci_bus_set_ops(list_first_entry(&card->phb->bus->children, struct pci_bus, node), &operations);
}
