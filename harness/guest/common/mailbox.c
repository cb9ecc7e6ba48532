// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mailbox: sends one request at a time to the program on the host and carries out its reply.
 *
 * How the guest waits for the reply is each module's own: see pass_gate() in gate.c and doorbell.c.
 *
 * The reply comes from another program: every length and count in it is checked before use. One that does
 * not fit answers the caller with H_HARDWARE, and nothing of it is carried out.
 */
#include "call.h"

#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <asm/hvcall.h>

static DEFINE_RAW_SPINLOCK(lock);
static void __iomem *memory;
static u64 seq;

static u64 get64(unsigned long offset)
{
	return readq(memory + offset);
}

static u32 get32(unsigned long offset)
{
	return readl(memory + offset);
}

static void put64(unsigned long offset, u64 value)
{
	writeq(value, memory + offset);
}

static void put32(unsigned long offset, u32 value)
{
	writel(value, memory + offset);
}

#define IN_HEADER(field)	(HEADER_OFFSET + offsetof(struct mailbox_header, field))
#define IN_REQUEST(field)	(REQUEST_OFFSET + offsetof(struct mailbox_request, field))
#define IN_REPLY(field)		(REPLY_OFFSET + offsetof(struct mailbox_reply, field))
#define IN_ACTION(i, field)	(ACTIONS_OFFSET + (i) * sizeof(struct mailbox_action) + \
				 offsetof(struct mailbox_action, field))

int mailbox_open(struct pci_dev *device)
{
	int rc;

	rc = pci_enable_device(device);
	if (rc)
		return rc;
	if (pci_resource_len(device, IVSHMEM_BAR) < MAILBOX_BYTES) {
		pr_err("the mailbox has %#llx bytes, but needs %#x\n",
		       (u64)pci_resource_len(device, IVSHMEM_BAR), MAILBOX_BYTES);
		return -EINVAL;
	}
	memory = pci_iomap(device, IVSHMEM_BAR, MAILBOX_BYTES);
	if (!memory)
		return -ENOMEM;
	/* Nobody would ever open the gate, and the guest would stop in it for good. */
	if (get64(IN_HEADER(magic)) != MAILBOX_MAGIC || get32(IN_HEADER(version)) != MAILBOX_VERSION ||
	    !get32(IN_HEADER(is_host_ready))) {
		pr_err("nobody answers the mailbox: magic %#llx, version %u, ready %u; start the program on the host before the guest\n",
		       get64(IN_HEADER(magic)), get32(IN_HEADER(version)), get32(IN_HEADER(is_host_ready)));
		return -ENXIO;
	}
	seq = get64(IN_REQUEST(seq));
	return 0;
}

unsigned long mailbox_lock(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	return flags;
}

void mailbox_unlock(unsigned long flags)
{
	raw_spin_unlock_irqrestore(&lock, flags);
}

static void fill_in(const struct call *call)
{
	int i;

	put64(IN_REQUEST(seq), seq);
	put64(IN_REQUEST(kind), call->kind);
	put64(IN_REQUEST(time_ns), ktime_get_ns());
	put64(IN_REQUEST(flags), call->may_sleep ? REQUEST_MAY_SLEEP : 0);
	put64(IN_REQUEST(opcode), call->opcode);
	for (i = 0; i < ARGS; i++)
		put64(IN_REQUEST(args[i]), call->args[i]);
	put32(IN_REQUEST(text_bytes), call->text_bytes);
	if (call->text_bytes)
		memcpy_toio(memory + REQUEST_TEXT_OFFSET, call->text, call->text_bytes);
}

bool mailbox_has_answer(u64 seq)
{
	return get64(IN_REPLY(seq)) == seq;
}

static bool is_reply_sound(void)
{
	return mailbox_has_answer(seq) && get32(IN_REPLY(actions)) <= ACTIONS_MAX &&
	       get32(IN_REPLY(text_bytes)) <= TEXT_BYTES;
}

static void take_reply(struct call *call)
{
	u32 actions = get32(IN_REPLY(actions));
	u32 i;

	call->rc = get64(IN_REPLY(rc));
	for (i = 0; i < ARGS; i++)
		call->ret[i] = get64(IN_REPLY(ret[i]));
	if (call->answer) {
		call->answer_bytes = get32(IN_REPLY(text_bytes));
		memcpy_fromio(call->answer, memory + REPLY_TEXT_OFFSET, call->answer_bytes);
	}
	for (i = 0; i < actions; i++)
		carry_out(call, get64(IN_ACTION(i, kind)), get64(IN_ACTION(i, a)),
			  get64(IN_ACTION(i, b)), get64(IN_ACTION(i, c)));
	timer_want(get64(IN_REPLY(timer_ns)));
}

void mailbox_exchange_locked(struct call *call)
{
	bool is_through;

	call->has_reply = false;
	call->rc = H_HARDWARE;
	memset(call->ret, 0, sizeof(call->ret));
	call->answer_bytes = 0;
	call->parked = NULL;

	seq++;
	fill_in(call);
	put32(IN_HEADER(is_pending), 1);
	is_through = pass_gate(seq);
	put32(IN_HEADER(is_pending), 0);
	call->has_reply = is_through && is_reply_sound();
	if (call->has_reply) {
		take_reply(call);
		return;
	}
	pr_err_once("request %llu of kind %llu: %s; reply %llu with %u actions and %u bytes of text; H_HARDWARE is the answer\n",
		    seq, call->kind, is_through ? "the reply does not fit" : "nobody took it",
		    get64(IN_REPLY(seq)), get32(IN_REPLY(actions)), get32(IN_REPLY(text_bytes)));
}

void mailbox_exchange(struct call *call)
{
	unsigned long flags = mailbox_lock();

	mailbox_exchange_locked(call);
	mailbox_unlock(flags);
	/*
	 * Another processor may still use what it has translated before an isolation. An interrupt of ours
	 * makes it drop that; to wait for it with interrupts off would be a deadlock.
	 */
	if (call->has_changed_areas && in_task() && !irqs_disabled())
		kick_all_cpus_sync();
}

int mailbox_copy_text(void *to, u64 offset, u64 bytes)
{
	u32 text_bytes = get32(IN_REPLY(text_bytes));

	if (offset > text_bytes || bytes > text_bytes - offset)
		return -EINVAL;
	memcpy_fromio(to, memory + REPLY_TEXT_OFFSET + offset, bytes);
	return 0;
}
