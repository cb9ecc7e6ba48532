// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a request to the host's program waits for its reply: it rings the doorbell of the mailbox's device
 * and looks at the reply until it is there.
 *
 * The time of a bare-metal guest is real, so that waiting in a loop costs no more than the answer takes.
 * A host that does not answer must not stop the guest, so there is a bound.
 */
#include "capicard.h"

#include <linux/io.h>
#include <linux/ktime.h>

#define REGISTERS_BAR	0
#define DOORBELL	0x0c
#define HOST_PEER	1	/* the host's program is the one other user of the memory, with one vector */
#define PATIENCE_NS	(20ULL * NSEC_PER_SEC)

const char console_name[] = "capicard";

static void __iomem *registers, *memory;

/* The mailbox is the one of these devices that has no expansion ROM: the cards need theirs. */
static struct pci_dev *find_mailbox(void)
{
	struct pci_dev *device = NULL;

	while ((device = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, device)))
		if (!pci_resource_len(device, PCI_ROM_RESOURCE))
			return device;
	return NULL;
}

int doorbell_open(void)
{
	struct pci_dev *device = find_mailbox();
	int rc;

	if (!device) {
		pr_err("no ivshmem device without a ROM: QEMU has to plug the mailbox in\n");
		return -ENODEV;
	}
	rc = mailbox_open(device);
	if (rc)
		return rc;
	registers = pci_iomap(device, REGISTERS_BAR, 0);
	memory = pci_iomap(device, IVSHMEM_BAR, 0);
	return registers && memory ? 0 : -ENOMEM;
}

void __iomem *doorbell_memory(unsigned long offset)
{
	return memory + offset;
}

bool pass_gate(u64 seq)
{
	u64 until_ns = ktime_get_mono_fast_ns() + PATIENCE_NS;

	writel(HOST_PEER << 16, registers + DOORBELL);
	while (!mailbox_has_answer(seq)) {
		if (ktime_get_mono_fast_ns() > until_ns)
			return false;
		cpu_relax();
	}
	return true;
}

/* Where the EEH PEs are now, because their numbers change. */
void order_prepare(struct call *call)
{
	unsigned int index;

	for (index = 0; index < cards_count(); index++)
		call->args[index] = card_pe(card_at(index));
}

void order_done(void)
{
}
