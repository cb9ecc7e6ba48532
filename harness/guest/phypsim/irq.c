// SPDX-License-Identifier: GPL-2.0-only
/*
 * The AFUs' interrupts: a range of numbers with an interrupt chip of our own.
 *
 * cxl.ko maps a hardware number with irq_create_mapping() in the default domain, which is the machine's
 * interrupt controller. That would find a chip that really reaches for hardware, so the range is mapped
 * here first, and the driver is given these mappings. No wire leads to them: irq_work delivers each as soon
 * as interrupts are on, which is when a real one would come.
 *
 * Like a real edge, an interrupt that is disabled is kept for its enabling, and one that nobody has asked
 * for is lost.
 */
#include "phypsim.h"

#include <linux/bitmap.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/irqdesc.h>
#include <linux/irqdomain.h>

static unsigned int virqs[IRQ_COUNT];
static DECLARE_BITMAP(raised, IRQ_COUNT);
static DECLARE_BITMAP(fresh, IRQ_COUNT);	/* asked for anew, nothing raised since */

static void deliver(struct irq_work *work)
{
	unsigned int index;

	for_each_set_bit(index, raised, IRQ_COUNT) {
		if (!test_and_clear_bit(index, raised) || !irq_has_action(virqs[index]))
			continue;
		clear_bit(index, fresh);
		generic_handle_irq(virqs[index]);
	}
}

static struct irq_work delivery = IRQ_WORK_INIT_HARD(deliver);

int irq_raise(u64 index)
{
	if (index >= IRQ_COUNT)
		return -EINVAL;
	set_bit(index, raised);
	irq_work_queue(&delivery);
	return 0;
}

static unsigned int index_of(struct irq_data *data)
{
	return irqd_to_hwirq(data) - IRQ_FIRST;
}

static void nothing(struct irq_data *data)
{
}

static unsigned int start(struct irq_data *data)
{
	set_bit(index_of(data), fresh);
	return 0;
}

/* The core asks for this when an interrupt came while it was disabled; not if that was its last owner's. */
static int raise_again(struct irq_data *data)
{
	if (!test_and_clear_bit(index_of(data), fresh))
		irq_raise(index_of(data));
	return 1;
}

static struct irq_chip chip = {
	.name = "PHYPSIM",
	.irq_startup = start,
	.irq_ack = nothing,
	.irq_mask = nothing,
	.irq_unmask = nothing,
	.irq_retrigger = raise_again,
};

int irqs_open(void)
{
	unsigned int index;

	for (index = 0; index < IRQ_COUNT; index++) {
		virqs[index] = irq_create_mapping(NULL, IRQ_FIRST + index);
		if (!virqs[index]) {
			pr_err("interrupt %#x cannot be mapped: the machine's controller has to know it (ic-mode=xics)\n",
			       IRQ_FIRST + index);
			return -ENXIO;
		}
		irq_set_chip_and_handler(virqs[index], &chip, handle_edge_irq);
	}
	return 0;
}
