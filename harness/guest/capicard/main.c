// SPDX-License-Identifier: GPL-2.0-only
/*
 * capicard: turns shared memory devices of QEMU into CAPI cards, for the unmodified cxl driver of a bare-metal
 * guest.
 *
 * A card's mind is a program on the host. This module shows Linux the card's configuration space (config.c)
 * and memory (card.c), and carries between driver and host: register writes (watch.c), interrupts (irq.c),
 * what EEH does (eeh.c), faults that the agent asks for (console.c). It stays until the guest ends, so that
 * there is nothing to unload.
 *
 * It is loaded before cxl.ko, some of whose calls are redirected to it.
 */
#include "capicard.h"

#include <linux/io.h>
#include <linux/module.h>
#include <linux/of.h>
#include <asm/pci-bridge.h>

static struct card cards[CARDS_MAX];
static unsigned int count;

struct card *card_at(u64 index)
{
	return index < count ? &cards[index] : NULL;
}

struct card *card_on(struct pci_bus *bus)
{
	unsigned int index;

	for (index = 0; index < count; index++)
		if (cards[index].phb == pci_bus_to_host(bus))
			return &cards[index];
	return NULL;
}

unsigned int cards_count(void)
{
	return count;
}

static u64 opal_id_of(struct pci_controller *phb)
{
	const __be32 *id = of_get_property(phb->dn, "ibm,opal-phbid", NULL);

	return id ? of_read_number(id, 2) : ~0ULL;
}

static void see(struct pci_dev *device, unsigned long event)
{
	struct card *card = card_on(device->bus);

	if (!card || pci_is_root_bus(device->bus) || device->devfn != CARD_DEVFN)
		return;
	if (event == BUS_NOTIFY_ADD_DEVICE || event == BUS_NOTIFY_DEL_DEVICE) {
		unsigned long flags = mailbox_lock();

		WRITE_ONCE(card->device, event == BUS_NOTIFY_ADD_DEVICE ? device : NULL);
		mailbox_unlock(flags);
	}
	if (event == BUS_NOTIFY_BIND_DRIVER)
		card_place(card, device);
}

static int notified(struct notifier_block *block, unsigned long event, void *device)
{
	see(to_pci_dev(device), event);
	return NOTIFY_OK;
}

static struct notifier_block notifier = { .notifier_call = notified };

static bool is_card(struct pci_dev *device)
{
	return pci_resource_len(device, PCI_ROM_RESOURCE) == CARD_BYTES;
}

static void adopt(struct pci_dev *device)
{
	struct card *card = &cards[count];

	card->index = count;
	card->phb = pci_bus_to_host(device->bus);
	card->opal_id = opal_id_of(card->phb);
	card->config = doorbell_memory(CONFIG_OFFSET(count));
	card->state = doorbell_memory(STATE_OFFSET(count));
	count++;
	config_take_over(card);
}

/* Linux knows the device as shared memory: it has to meet it anew, as a card. */
static void meet_again(struct card *card)
{
	pci_lock_rescan_remove();
	if (card->device)
		pci_stop_and_remove_bus_device(card->device);
	pci_rescan_bus(card->phb->bus);
	pci_unlock_rescan_remove();
}

static int hello(void)
{
	char text[CARDS_MAX * 64];
	struct call call = { .kind = KIND_HELLO, .text = text };
	unsigned int index;

	for (index = 0; index < count; index++)
		call.text_bytes += scnprintf(text + call.text_bytes, sizeof(text) - call.text_bytes,
					     "card %u %llu\n", index, cards[index].opal_id);
	mailbox_exchange(&call);
	return call.has_reply ? 0 : -EIO;
}

static int cards_open(void)
{
	struct pci_dev *device = NULL;
	unsigned int index;
	int rc;

	while (count < CARDS_MAX && (device = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, device)))
		if (is_card(device))
			adopt(device);
	pci_dev_put(device);
	rc = hello();
	if (rc)
		return rc;
	rc = bus_register_notifier(&pci_bus_type, &notifier);
	if (rc)
		return rc;
	device = NULL;
	for_each_pci_dev(device)
		see(device, BUS_NOTIFY_ADD_DEVICE);
	for (index = 0; index < count; index++)
		meet_again(&cards[index]);
	return 0;
}

static const struct {
	const char *what;
	int (*open)(void);
} steps[] = {
	{ "mailbox", doorbell_open },
	{ "cards", cards_open },
	{ "EEH", eeh_open },
	{ "console", console_open },
};

static int __init capicard_init(void)
{
	int step, rc;

	timer_init();
	for (step = 0; step < ARRAY_SIZE(steps); step++) {
		rc = steps[step].open();
		if (rc) {
			/* Buses and probes lead here by now, so that the module has to stay as far as it came. */
			pr_err("%s: error %d\n", steps[step].what, rc);
			return count ? 0 : rc;
		}
	}
	watch_open();
	pr_info("%u cards\n", count);
	return 0;
}
module_init(capicard_init);

MODULE_DESCRIPTION("Guest half of simulated CAPI cards");
MODULE_LICENSE("GPL");
