// SPDX-License-Identifier: GPL-2.0-only
/*
 * pciprep: prepares the PCI devices of the powernv guest, so that EEH cases are quick and can follow each other.
 *
 * - After it has reset a bus, the PCI core waits for the devices below to answer. On this machine EEH blocks their
 *   configuration space meanwhile, so that this takes the whole 65 s that the core is patient for. Devices that
 *   need no time after power-up (d3cold_delay 0) are not waited for. While `wait` is 1 they are, as on a plain kernel.
 * - The nvme driver does without shadow doorbells. QEMU 7.2 forgets their event index when they are set up anew. A
 *   request that was under way at a reset is done before that, and from then on the driver rings no doorbell: all
 *   requests of that queue time out, again after each reset. The command that sets them up is made one that the
 *   controller does not know; the driver says so, and goes on.
 * - The kernel counts the freezes of each EEH PE for an hour, and fences at the PE of the whole PHB. Writing to
 *   `forget` sets the counts to zero: for the next case that hour is over. It also lets a scan of the bus find what
 *   EEH has given up, whose configuration space the kernel does not read again.
 * - Reading `pes` gives a line for each device below a root port: its address, the state of its EEH PE in
 *   hexadecimal (EEH_PE_* of asm/eeh.h) and the count, with that of its PHB's PE. It looks at memory only: asking
 *   the firmware would make EEH take notice of a freeze.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/nvme.h>
#include <linux/of.h>
#include <linux/pci.h>
#include <asm/eeh.h>
#include <asm/pci-bridge.h>

#define PLAIN_DELAY_MS 100 /* PCI_PM_D3COLD_WAIT of drivers/pci/pci.h */

static bool wait;

static int device_changed(struct notifier_block *block, unsigned long what, void *device)
{
	if (what == BUS_NOTIFY_ADD_DEVICE)
		to_pci_dev(device)->d3cold_delay = wait ? PLAIN_DELAY_MS : 0;
	return NOTIFY_OK;
}

static int set_wait(const char *text, const struct kernel_param *parameter)
{
	struct pci_dev *device = NULL;
	int error = param_set_bool(text, parameter);

	if (error)
		return error;
	for_each_pci_dev(device)
		device_changed(NULL, BUS_NOTIFY_ADD_DEVICE, &device->dev);
	return 0;
}

static const struct kernel_param_ops wait_ops = { .set = set_wait, .get = param_get_bool };
module_param_cb(wait, &wait_ops, &wait, 0644);
MODULE_PARM_DESC(wait, "let the PCI core wait for devices after a reset of their bus");

static struct notifier_block watch = { .notifier_call = device_changed };

#define UNKNOWN_COMMAND 0x7e

static int submits(struct kprobe *probe, struct pt_regs *registers)
{
	struct nvme_command *command = (struct nvme_command *)registers->gpr[4];

	if (command->common.opcode == nvme_admin_dbbuf)
		command->common.opcode = UNKNOWN_COMMAND;
	return 0;
}

static struct kprobe on_submit = { .symbol_name = "nvme_submit_sync_cmd", .pre_handler = submits };

static int module_changed(struct notifier_block *block, unsigned long state, void *data)
{
	struct module *module = data;

	if (state == MODULE_STATE_LIVE && !strcmp(module->name, "nvme_core") && register_kprobe(&on_submit))
		pr_warn("pciprep: shadow doorbells stay: no %s\n", on_submit.symbol_name);
	return NOTIFY_OK;
}

static struct notifier_block modules = { .notifier_call = module_changed };

static struct eeh_pe *pe_below_port(struct pci_dev *device)
{
	struct eeh_dev *edev = pci_dev_to_eeh_dev(device);

	return edev && !pci_is_root_bus(device->bus) ? edev->pe : NULL;
}

/* What is below a port, also what is removed: nodes of the device tree outlive devices. */
static void let_be_found(struct pci_dev *port)
{
	struct device_node *node = pci_device_to_OF_node(port);
	struct pci_dn *below;

	if (!node || !PCI_DN(node))
		return;
	list_for_each_entry(below, &PCI_DN(node)->child_list, list)
		if (below->edev)
			below->edev->mode &= ~EEH_DEV_REMOVED;
}

static int forget(const char *text, const struct kernel_param *parameter)
{
	struct pci_dev *device = NULL;
	struct eeh_pe *pe;

	pci_lock_rescan_remove();
	for_each_pci_dev(device) {
		for (pe = pe_below_port(device); pe; pe = pe->parent)
			pe->freeze_count = 0;
		if (pci_is_root_bus(device->bus))
			let_be_found(device);
	}
	pci_unlock_rescan_remove();
	return 0;
}

static int freezes(const struct eeh_pe *pe)
{
	int count = 0;

	for (; pe; pe = pe->parent)
		count += pe->freeze_count;
	return count;
}

static int pes(char *text, const struct kernel_param *parameter)
{
	struct pci_dev *device = NULL;
	struct eeh_pe *pe;
	int length = 0;

	pci_lock_rescan_remove();
	for_each_pci_dev(device) {
		pe = pe_below_port(device);
		if (pe)
			length += scnprintf(text + length, PAGE_SIZE - length, "%s %x %d\n", pci_name(device),
					    pe->state, freezes(pe));
	}
	pci_unlock_rescan_remove();
	return length;
}

static const struct kernel_param_ops forget_ops = { .set = forget };
static const struct kernel_param_ops pes_ops = { .get = pes };
module_param_cb(forget, &forget_ops, NULL, 0200);
module_param_cb(pes, &pes_ops, NULL, 0400);

static int __init pciprep_init(void)
{
	struct pci_dev *device = NULL;
	int error = bus_register_notifier(&pci_bus_type, &watch);

	if (error)
		return error;
	error = register_module_notifier(&modules);
	if (error) {
		bus_unregister_notifier(&pci_bus_type, &watch);
		return error;
	}
	for_each_pci_dev(device)
		device_changed(&watch, BUS_NOTIFY_ADD_DEVICE, &device->dev);
	return 0;
}

static void __exit pciprep_exit(void)
{
	if (on_submit.addr)
		unregister_kprobe(&on_submit);
	unregister_module_notifier(&modules);
	bus_unregister_notifier(&pci_bus_type, &watch);
}

module_init(pciprep_init);
module_exit(pciprep_exit);
MODULE_DESCRIPTION("Prepares PCI devices for EEH cases that follow each other");
MODULE_LICENSE("GPL");
