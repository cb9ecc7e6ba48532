// SPDX-License-Identifier: GPL-2.0-only
/*
 * phypsim: the guest's half of a simulated PHYP, for the unmodified cxl driver of a QEMU pseries guest.
 *
 * PHYP itself is a program on the host. This module carries its answers: hcall.c for what the driver
 * asks; area.c, irq.c and facility.c for what hardware and firmware would show it; console.c for those who
 * make faults. It stays until the guest ends, so that there is nothing to unload.
 *
 * It is loaded before cxl.ko, whose hcalls are redirected to it.
 */
#include "phypsim.h"

#include <linux/module.h>

static int plug_mailbox_in(void)
{
	struct pci_dev *device = find_shared_memory(MAILBOX_SLOT);

	if (device)
		return mailbox_open(device);
	pr_err("no ivshmem device in PCI slot %#x: QEMU has to plug the mailbox in there\n", MAILBOX_SLOT);
	return -ENODEV;
}

static const struct {
	const char *what;
	int (*open)(void);
} steps[] = {
	{ "mailbox", plug_mailbox_in },
	{ "AFU memory", areas_open },
	{ "interrupts", irqs_open },
	{ "facilities", facilities_hello },
	{ "console", console_open },
};

static int __init phypsim_init(void)
{
	int step, rc;

	timer_init();
	for (step = 0; step < ARRAY_SIZE(steps); step++) {
		rc = steps[step].open();
		if (rc) {
			pr_err("%s: error %d\n", steps[step].what, rc);
			return rc;
		}
	}
	pr_info("%u AFUs, interrupts %#x to %#x\n", areas_count(), IRQ_FIRST, IRQ_FIRST + IRQ_COUNT - 1);
	return 0;
}
module_init(phypsim_init);

MODULE_DESCRIPTION("Guest half of a simulated PHYP CoherentAccel component");
MODULE_LICENSE("GPL");
