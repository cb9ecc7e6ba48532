// SPDX-License-Identifier: GPL-2.0-only
/*
 * Facilities: what PHYP says there is, as devices that cxl.ko's driver binds to, and their coming and going.
 *
 * PHYP says it in its answer to HELLO, one item a line, numbers decimal or with 0x:
 *   card INDEX UNIT FIRST_IRQ IRQS
 *   afu INDEX CARD UNIT PROCESSES_MAX IRQS_MAX ERROR_IRQ ERROR_BUFFER_BYTES
 * IRQ numbers are indexes into the range that HELLO named; IRQS_MAX includes the PSL's. The kernel's own look
 * for facilities is over when this module comes, so that it makes the devices itself.
 *
 * HELLO says where the AFUs' memory lies in the guest, and which interrupts there are:
 *   afu INDEX ADDRESS BYTES
 *   irqs FIRST COUNT
 */
#include "node.h"
#include "phypsim.h"

#include <linux/mutex.h>
#include <linux/of_platform.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#define LATER_MAX 16

struct afu {
	struct afu_facts facts;
	unsigned int card;
	bool is_there;
	struct device_node *node;
};

struct card {
	struct card_facts facts;
	bool is_known;
	struct device_node *node;
	struct platform_device *device;
};

static struct afu afus[AFUS_MAX];
static struct card cards[CARDS_MAX];
static DEFINE_MUTEX(tree);	/* nodes and devices of the cards */

static void remove_facility(unsigned int index)
{
	struct card *card = &cards[index];
	unsigned int afu;

	if (card->device)
		of_platform_device_destroy(&card->device->dev, NULL);
	card->device = NULL;
	for (afu = 0; afu < AFUS_MAX; afu++)
		if (afus[afu].is_there && afus[afu].card == index)
			node_remove(&afus[afu].node);
	node_remove(&card->node);
}

static int add_facility(unsigned int index)
{
	struct card *card = &cards[index];
	int afu;

	if (card->node)
		return 0;
	card->node = node_add_card(&card->facts);
	if (!card->node)
		return -ENOMEM;
	/* A new node becomes its parent's first child, and the driver numbers AFUs in the order of nodes. */
	for (afu = AFUS_MAX - 1; afu >= 0; afu--) {
		if (!afus[afu].is_there || afus[afu].card != index)
			continue;
		afus[afu].node = node_add_afu(card->node, &afus[afu].facts);
		if (!afus[afu].node)
			return -ENOMEM;
	}
	card->device = of_platform_device_create(card->node, NULL, NULL);
	return card->device ? 0 : -ENODEV;
}

/*
 * Removal and return sleep and make hcalls of their own, so that they wait until the reply that asked for
 * them is done with: for the writer of the console, if it was the console's, else for a worker.
 */
static struct {
	unsigned int card;
	bool is_return;
} later[LATER_MAX];
static unsigned int later_count;	/* both under the mailbox's lock */

static void facilities_work(struct work_struct *unused)
{
	facilities_now();
}

static DECLARE_WORK(work, facilities_work);

int facility_later(u64 card, bool is_return, bool needs_worker)
{
	if (card >= CARDS_MAX || !cards[card].is_known)
		return -EINVAL;
	if (later_count == LATER_MAX)
		return -ENOSPC;
	later[later_count].card = card;
	later[later_count].is_return = is_return;
	later_count++;
	if (needs_worker)
		queue_work(system_long_wq, &work);
	return 0;
}

static bool take_first(unsigned int *card, bool *is_return)
{
	unsigned long flags = mailbox_lock();
	bool is_any = later_count;

	if (is_any) {
		*card = later[0].card;
		*is_return = later[0].is_return;
		memmove(&later[0], &later[1], --later_count * sizeof(later[0]));
	}
	mailbox_unlock(flags);
	return is_any;
}

void facilities_now(void)
{
	unsigned int card;
	bool is_return;

	mutex_lock(&tree);
	while (take_first(&card, &is_return)) {
		if (!is_return)
			remove_facility(card);
		else if (add_facility(card))
			pr_err("card %u cannot be returned\n", card);
	}
	mutex_unlock(&tree);
}

static bool take_card(const char *line)
{
	unsigned int index;
	struct card_facts card;

	if (sscanf(line, "card %i %lli %i %i", &index, &card.unit, &card.first_irq, &card.irqs) != 4 ||
	    index >= CARDS_MAX || card.first_irq >= IRQ_COUNT || !card.irqs ||
	    card.irqs > IRQ_COUNT - card.first_irq)
		return false;
	cards[index] = (struct card){ .facts = card, .is_known = true };
	return true;
}

static bool take_afu(const char *line)
{
	unsigned int index, card;
	struct afu_facts afu;

	if (sscanf(line, "afu %i %i %lli %i %i %i %lli", &index, &card, &afu.unit, &afu.processes_max,
		   &afu.irqs_max, &afu.error_irq, &afu.error_buffer_bytes) != 7 ||
	    index >= areas_count() || card >= CARDS_MAX || !cards[card].is_known ||
	    !afu.processes_max || afu.processes_max > PROCESS_AREAS || afu.irqs_max < 2 ||
	    afu.error_irq >= IRQ_COUNT)
		return false;
	afu.address = area_address(index);
	afus[index] = (struct afu){ .facts = afu, .card = card, .is_there = true };
	return true;
}

static int take_tree(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line && !take_card(line) && !take_afu(line)) {
			pr_err("PHYP's device tree has a line that is not understood: %s\n", line);
			return -EINVAL;
		}
	return 0;
}

static int print_hello(char *text)
{
	unsigned int afu;
	int bytes = scnprintf(text, TEXT_BYTES, "irqs %#x %u\n", IRQ_FIRST, IRQ_COUNT);

	for (afu = 0; afu < areas_count(); afu++)
		bytes += scnprintf(text + bytes, TEXT_BYTES - bytes, "afu %u %#llx %#llx\n", afu,
				   (u64)area_address(afu), (u64)area_bytes(afu));
	return bytes;
}

static int add_facilities(void)
{
	unsigned int index;
	int rc = 0;

	mutex_lock(&tree);
	for (index = 0; index < CARDS_MAX && !rc; index++)
		if (cards[index].is_known)
			rc = add_facility(index);
	mutex_unlock(&tree);
	return rc;
}

int facilities_hello(void)
{
	char *text = kzalloc(2 * TEXT_BYTES + 1, GFP_KERNEL);
	struct call call = { .kind = KIND_HELLO, .text = text, .answer = text + TEXT_BYTES };
	int rc;

	if (!text)
		return -ENOMEM;
	call.text_bytes = print_hello(text);
	mailbox_exchange(&call);
	call.answer[call.answer_bytes] = 0;
	rc = call.rc ? -EIO : take_tree(call.answer);
	kfree(text);
	return rc ?: add_facilities();
}
