// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a request to the simulated PHYP waits for its reply: the guest is stopped in the hypervisor.
 *
 * The guest never spins: under QEMU's icount, spinning would turn the host's real time into guest time and
 * no run would be like another. See mailbox.h.
 */
#include "phypsim.h"

#include <asm/hvcall.h>

#define DOORBELL_UNIT	0x71000001
#define GATE_UNIT	0x71000002
#define TERMINAL_BYTES	16	/* what H_PUT_TERM_CHAR takes at most */

const char console_name[] = "phypsim";

bool pass_gate(u64 seq)
{
	/* The terminal takes its characters from registers, the first from the highest byte. */
	u64 characters = swab64(seq);

	return !plpar_hcall_norets(H_PUT_TERM_CHAR, DOORBELL_UNIT, TERMINAL_BYTES, characters, 0) &&
	       !plpar_hcall_norets(H_PUT_TERM_CHAR, GATE_UNIT, TERMINAL_BYTES, characters, 0);
}

void order_prepare(struct call *call)
{
}

void order_done(void)
{
	facilities_now();
}

struct pci_dev *find_shared_memory(unsigned int slot)
{
	struct pci_dev *device = NULL;

	while ((device = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, device)))
		if (PCI_SLOT(device->devfn) == slot)
			return device;
	return NULL;
}
