// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device tree nodes of coherent platform facilities and functions, with all that cxl.ko reads in them.
 *
 * A real machine has them when it boots. pseries takes no tree from QEMU, so they are attached at run time,
 * as /proc/powerpc/ofdt would do it.
 */
#include "node.h"
#include "phypsim.h"

#include <linux/of.h>
#include <linux/slab.h>

#define CELLS_MAX 16

/* A node that cannot be completed is dropped as a whole, so `add` only has to say that it failed. */
static bool add(struct device_node *node, const char *name, const void *value, int bytes)
{
	struct property *property = kzalloc(sizeof(*property), GFP_KERNEL);

	if (!property)
		return false;
	property->name = kstrdup(name, GFP_KERNEL);
	property->value = kmemdup(value, bytes, GFP_KERNEL);
	property->length = bytes;
	property->next = node->properties;
	node->properties = property;
	return property->name && property->value;
}

static bool add_text(struct device_node *node, const char *name, const char *text)
{
	return add(node, name, text, strlen(text) + 1);
}

static bool add_number(struct device_node *node, const char *name, u32 number)
{
	__be32 cell = cpu_to_be32(number);

	return add(node, name, &cell, sizeof(cell));
}

static bool add_long(struct device_node *node, const char *name, u64 number)
{
	__be64 cells = cpu_to_be64(number);

	return add(node, name, &cells, sizeof(cells));
}

struct cells {
	__be32 cell[CELLS_MAX];
	int count;
};

/* `number` in `width` cells of 32 bits. */
static void put(struct cells *cells, int width, u64 number)
{
	while (width-- > 0 && cells->count < CELLS_MAX)
		cells->cell[cells->count++] = cpu_to_be32(width < 2 ? number >> (32 * width) : 0);
}

static bool add_cells(struct device_node *node, const char *name, const struct cells *cells)
{
	return add(node, name, cells->cell, cells->count * sizeof(__be32));
}

static struct device_node *new_node(struct device_node *parent, const char *name, u64 unit)
{
	struct device_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	/* of_node_init() needs the type of nodes, which is not exported; every node has it. */
	kobject_init(&node->kobj, of_root->kobj.ktype);
	fwnode_init(&node->fwnode, &of_fwnode_ops);
	of_node_set_flag(node, OF_DYNAMIC);
	of_node_set_flag(node, OF_DETACHED);
	node->parent = parent;
	node->full_name = kasprintf(GFP_KERNEL, "%s@%llx", name, unit);
	if (node->full_name && add_text(node, "name", name))
		return node;
	of_node_put(node);
	return NULL;
}

static int attach(struct device_node *node)
{
	struct of_changeset changes;
	int rc;

	of_changeset_init(&changes);
	rc = of_changeset_attach_node(&changes, node);
	if (!rc)
		rc = of_changeset_apply(&changes);
	of_changeset_destroy(&changes);
	return rc;
}

/* Entries of type, address and size; the driver adds those of `assigned-addresses` to those of `reg`. */
static void put_address(struct cells *cells, u32 type, u64 address, u64 bytes)
{
	put(cells, 1, type);
	put(cells, 2, address);
	put(cells, 2, bytes);
}

static bool describe_afu(struct device_node *node, const void *facts)
{
	const struct afu_facts *afu = facts;
	struct cells reg = {}, assigned = {};

	put_address(&reg, 0, afu->unit, 0);
	put_address(&reg, 1, 0, 0);
	put_address(&reg, 2, 0, 0);
	put_address(&assigned, 1, afu->address + P2N_OFFSET, P2N_BYTES);
	put_address(&assigned, 2, afu->address, PROCESS_AREAS * PROCESS_AREA_BYTES);
	return add_text(node, "device_type", "ibm,coherent-platform-function") &&
	       add_text(node, "compatible", "ibm,coherent-platform-function") &&
	       add_cells(node, "reg", &reg) &&
	       add_cells(node, "assigned-addresses", &assigned) &&
	       add_number(node, "ibm,#processes", afu->processes_max) &&
	       add_number(node, "ibm,process-mmio", 1) &&
	       /* The PSL's, and one of the AFU's. */
	       add_number(node, "ibm,min-ints-per-process", 2) &&
	       add_number(node, "ibm,max-ints-per-process", afu->irqs_max) &&
	       add_number(node, "ibm,function-error-interrupt", IRQ_FIRST + afu->error_irq) &&
	       add_long(node, "ibm,error-buffer-size", afu->error_buffer_bytes) &&
	       add_number(node, "ibm,#config-records", 0) &&
	       add_long(node, "ibm,config-record-size", 0);
}

static bool describe_card(struct device_node *node, const void *facts)
{
	const struct card_facts *card = facts;
	struct cells reg = {}, irqs = {};

	put(&reg, of_n_addr_cells(node), card->unit);
	put(&reg, of_n_size_cells(node), 0);
	put(&irqs, 1, IRQ_FIRST + card->first_irq);
	put(&irqs, 1, card->irqs);
	return add_text(node, "device_type", "ibm,coherent-platform-facility") &&
	       add_text(node, "compatible", "ibm,coherent-platform-facility") &&
	       add_cells(node, "reg", &reg) &&
	       add_number(node, "#address-cells", 3) &&
	       add_number(node, "#size-cells", 2) &&
	       add_cells(node, "interrupt-ranges", &irqs) &&
	       /* The driver takes the length of this one without looking whether it is there. */
	       add_text(node, "status", "okay") &&
	       add_number(node, "ibm,caia-version", 0x0100) &&
	       add_number(node, "ibm,psl-revision", 1) &&
	       add_number(node, "vendor-id", PCI_VENDOR_ID_IBM) &&
	       add_number(node, "device-id", 0x0477) &&
	       add_number(node, "subsystem-vendor-id", PCI_VENDOR_ID_IBM) &&
	       add_number(node, "subsystem-id", 0x04ca);
}

static struct device_node *add_node(struct device_node *parent, const char *name, u64 unit, const void *facts,
				    bool (*describe)(struct device_node *node, const void *facts))
{
	struct device_node *node = new_node(parent, name, unit);

	if (!node)
		return NULL;
	if (describe(node, facts) && !attach(node))
		return node;
	of_node_put(node);
	return NULL;
}

struct device_node *node_add_card(const struct card_facts *card)
{
	return add_node(of_root, "ibm,coherent-platform-facility", card->unit, card, describe_card);
}

struct device_node *node_add_afu(struct device_node *card, const struct afu_facts *afu)
{
	return add_node(card, "ibm,coherent-platform-function", afu->unit, afu, describe_afu);
}

void node_remove(struct device_node **node)
{
	if (!*node)
		return;
	of_detach_node(*node);
	of_node_put(*node);
	*node = NULL;
}
