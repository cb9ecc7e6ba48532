// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of a card: real ones of the PHB, which this module triggers at the machine's own controller.
 *
 * The driver allots hardware numbers and writes their low 16 bits (IVTE) into the card's registers and
 * process elements. Which interrupt of Linux that is, is noted when the driver sets it up.
 */
#include "capicard.h"

#include <linux/export.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/irqdomain.h>
#include <asm/pnv-pci.h>

#define LINES_MAX 128

static struct {
	struct card *card;
	unsigned int hwirq, virq;
} lines[LINES_MAX];
static DECLARE_BITMAP(raised, LINES_MAX);

/* In an interrupt of its own, outside of the mailbox's lock. */
static void deliver(struct irq_work *work)
{
	unsigned int line;

	for_each_set_bit(line, raised, LINES_MAX) {
		unsigned int virq = lines[line].virq;
		struct irq_data *data;

		if (!test_and_clear_bit(line, raised) || irq_find_mapping(NULL, lines[line].hwirq) != virq)
			continue;
		data = irq_get_irq_data(virq);
		if (!data || !irq_has_action(virq))
			continue;	/* nobody has asked for it, so it is lost */
		if (!data->chip->irq_retrigger || !data->chip->irq_retrigger(data))
			generic_handle_irq(virq);
	}
}

static struct irq_work delivery = IRQ_WORK_INIT_HARD(deliver);

int irq_raise(u64 card, u64 ivte)
{
	unsigned int line;

	for (line = 0; line < LINES_MAX; line++) {
		if (!lines[line].card || lines[line].card->index != card || (lines[line].hwirq & 0xffff) != ivte)
			continue;
		set_bit(line, raised);
		irq_work_queue(&delivery);
		return 0;
	}
	return -ENOENT;
}

int capicard_cxl_ioda_msi_setup(struct pci_dev *device, unsigned int hwirq, unsigned int virq);

int capicard_cxl_ioda_msi_setup(struct pci_dev *device, unsigned int hwirq, unsigned int virq)
{
	struct card *card = card_on(device->bus);
	unsigned long flags;
	unsigned int line;

	flags = mailbox_lock();
	for (line = 0; line < LINES_MAX; line++)
		if (!lines[line].card || lines[line].hwirq == hwirq)
			break;
	if (line < LINES_MAX) {
		lines[line].card = card;
		lines[line].hwirq = hwirq;
		lines[line].virq = virq;
	}
	mailbox_unlock(flags);
	if (line == LINES_MAX)
		pr_err_once("more than %d interrupts: the rest cannot be raised\n", LINES_MAX);
	return pnv_cxl_ioda_msi_setup(device, hwirq, virq);
}
EXPORT_SYMBOL_GPL(capicard_cxl_ioda_msi_setup);
