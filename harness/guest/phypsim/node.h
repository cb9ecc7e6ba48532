/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device tree node says of a card or an AFU. Interrupts are indexes into the module's range.
 */
#ifndef PHYPSIM_NODE_H
#define PHYPSIM_NODE_H

#include <linux/types.h>

struct device_node;

struct card_facts {
	u64 unit;
	unsigned int first_irq, irqs;
};

struct afu_facts {
	u64 unit;
	phys_addr_t address;		/* of its memory in the guest */
	unsigned int processes_max;
	unsigned int irqs_max;		/* of a process, the PSL's included */
	unsigned int error_irq;
	u64 error_buffer_bytes;
};

struct device_node *node_add_card(const struct card_facts *card);
struct device_node *node_add_afu(struct device_node *card, const struct afu_facts *afu);
void node_remove(struct device_node **node);

#endif
