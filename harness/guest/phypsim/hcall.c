// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two functions that cxl.ko calls instead of the kernel's plpar_hcall and plpar_hcall9.
 *
 * They hand each hcall of the CoherentAccel interface to the simulated PHYP. All else is the driver's own:
 * its loops for busy and long-busy, its tracepoints, its reading of the return code.
 *
 * An hcall may be made with interrupts off or in an interrupt handler; then it cannot be parked. Whether
 * a process holds a spinlock cannot be told on this kernel: parking it then does what sleeping there does.
 */
#include "phypsim.h"

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/stdarg.h>
#include <asm/hvcall.h>

#define ELEMENT_BYTES	4096

/*
 * How many arguments an hcall has: beyond them the registers hold whatever the driver left there, which
 * would make the log of two equal runs differ. `has_element`: the second argument is the real address of
 * a process element, which the host can't read for itself and so gets as the request's text.
 */
static const struct hcall {
	unsigned long opcode;
	unsigned int args;
	bool has_element;
} hcalls[] = {
	{ 0x344, 3, true },	/* H_ATTACH_CA_PROCESS */
	{ 0x348, 7 },		/* H_CONTROL_CA_FUNCTION */
	{ 0x34c, 3 },		/* H_DETACH_CA_PROCESS */
	{ 0x350, 2 },		/* H_COLLECT_CA_INT_INFO */
	{ 0x354, 5 },		/* H_CONTROL_CA_FAULTS */
	{ 0x35c, 5 },		/* H_DOWNLOAD_CA_FUNCTION */
	{ 0x364, 5 },		/* H_DOWNLOAD_CA_FACILITY */
	{ 0x368, 7 },		/* H_CONTROL_CA_FACILITY */
};

static const struct hcall *find_hcall(unsigned long opcode)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hcalls); i++)
		if (hcalls[i].opcode == opcode)
			return &hcalls[i];
	return NULL;
}

/* The element, up to the end of its 4 KB: it must not cross that boundary. */
static long attach_element(struct call *call)
{
	u64 address = call->args[1];

	if (address % sizeof(u64) || !pfn_valid(PHYS_PFN(address)))
		return H_PARAMETER;
	call->text = __va(address);
	call->text_bytes = ELEMENT_BYTES - address % ELEMENT_BYTES;
	return H_SUCCESS;
}

/*
 * An hcall says so itself when its caller has to wait: PHYP parks it, and once it is released asks again
 * what the answer is. That may be to wait once more.
 */
static long ask(unsigned long opcode, unsigned long *retbuf, unsigned int returns, va_list arguments)
{
	const struct hcall *hcall = find_hcall(opcode);
	struct call call = {
		.kind = KIND_HCALL,
		.opcode = opcode,
		.may_sleep = !in_interrupt() && !irqs_disabled(),
	};
	unsigned int i;

	memset(retbuf, 0, returns * sizeof(*retbuf));
	if (!hcall)
		return H_FUNCTION;
	for (i = 0; i < hcall->args; i++)
		call.args[i] = va_arg(arguments, unsigned long);
	if (hcall->has_element && attach_element(&call))
		return H_PARAMETER;

	mailbox_exchange(&call);
	while (call.parked) {
		u64 token = sleep_parked(call.parked);

		call = (struct call){
			.kind = KIND_WAKE,
			.opcode = opcode,
			.args = { token },
			.may_sleep = true,
		};
		mailbox_exchange(&call);
	}
	for (i = 0; i < returns; i++)
		retbuf[i] = call.ret[i];
	return call.rc;
}

long phypsim_plpar_hcall(unsigned long opcode, unsigned long *retbuf, ...);
long phypsim_plpar_hcall9(unsigned long opcode, unsigned long *retbuf, ...);

long phypsim_plpar_hcall(unsigned long opcode, unsigned long *retbuf, ...)
{
	va_list arguments;
	long rc;

	va_start(arguments, retbuf);
	rc = ask(opcode, retbuf, PLPAR_HCALL_BUFSIZE, arguments);
	va_end(arguments);
	return rc;
}
EXPORT_SYMBOL_GPL(phypsim_plpar_hcall);

long phypsim_plpar_hcall9(unsigned long opcode, unsigned long *retbuf, ...)
{
	va_list arguments;
	long rc;

	va_start(arguments, retbuf);
	rc = ask(opcode, retbuf, PLPAR_HCALL9_BUFSIZE, arguments);
	va_end(arguments);
	return rc;
}
EXPORT_SYMBOL_GPL(phypsim_plpar_hcall9);
