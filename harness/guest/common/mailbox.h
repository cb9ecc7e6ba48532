/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layout of the mailbox: memory that the guest and the program on the host share.
 *
 * Everything is little endian and naturally aligned. The guest is the only one that asks; one request at
 * a time. Both sides keep this table by hand, so whoever moves something in it changes MAILBOX_VERSION.
 *
 * How a request travels on a PowerVM guest, and why guest time stands still meanwhile (a bare-metal one
 * rings the device's own doorbell and waits, see capicard/doorbell.c):
 *   1. the guest fills in the request, its `seq` one higher than before, and sets `is_pending`
 *   2. it writes 16 bytes (the first eight: seq, little endian) to the virtual terminal DOORBELL_UNIT,
 *      which wakes the host's process
 *   3. it writes 16 bytes to the virtual terminal GATE_UNIT, whose pipe has room for one packet and is
 *      full: QEMU blocks the processor in that hcall, so virtual time does not pass
 *   4. the host fills in the reply, `seq` last, and takes the packet out of the gate's pipe; the guest's
 *      own packet goes in, which closes the gate for the next request in the same moment
 *   5. the guest reads the reply and clears `is_pending`
 * A snapshot may be taken between 2 and 3. Who restores one closes the gate, unless `is_pending` is set
 * and the reply's `seq` is that of the request: then the gate has to be open.
 */
#ifndef CAPI_MAILBOX_H
#define CAPI_MAILBOX_H

#include <linux/types.h>

#define MAILBOX_MAGIC		0x314d495350594850ULL	/* "PHYPSIM1" */
#define MAILBOX_VERSION		1
#define MAILBOX_BYTES		0x10000

#define TEXT_BYTES		0x2000
#define ARGS			9	/* of an hcall, and what it returns beside its code */
#define ACTIONS_MAX		64

#define HEADER_OFFSET		0x0000
#define REQUEST_OFFSET		0x1000
#define REQUEST_TEXT_OFFSET	0x2000
#define REPLY_OFFSET		0x4000
#define ACTIONS_OFFSET		0x5000
#define REPLY_TEXT_OFFSET	0x6000

struct mailbox_header {
	__le64 magic;		/* by the host, with the next two, before the guest starts */
	__le32 version;
	__le32 is_host_ready;
	__le32 reserved;
	__le32 is_pending;	/* by the guest: step 1 to 5 above */
};

enum request_kind {
	KIND_HELLO = 1,		/* text: see facility.c */
	KIND_HCALL = 2,		/* opcode, args; text: see hcall.c */
	KIND_CONSOLE = 3,	/* text: one JSON object; the reply's text is the answer */
	KIND_TIMER = 4,		/* the time asked for has come */
	KIND_COMMAND = 5,	/* opcode: AFU; args[0]: process area, args[1]: value of its COMMAND register */
	KIND_WAKE = 6,		/* args[0]: token of a parked hcall; the reply is the hcall's answer */
	KIND_REGISTERS = 7,	/* opcode: card whose registers have changed; text: see watch.c */
	KIND_RESET = 8,		/* opcode: card; args[0]: 1 hot, 3 fundamental; args[1]: EEH recovers */
	KIND_THAW = 9,		/* opcode: card; args[0]: EEH PE, args[1]: 1 MMIO, 2 DMA, 3 both */
	KIND_FREEZE = 10,	/* likewise */
	KIND_THAW_PHB = 11,	/* opcode: PHB above no card; args as of KIND_THAW */
};

#define REQUEST_MAY_SLEEP	(1 << 0)	/* the caller can be parked */

struct mailbox_request {
	__le64 seq;
	__le64 kind;
	__le64 time_ns;		/* CLOCK_MONOTONIC of the guest */
	__le64 flags;
	__le64 opcode;
	__le64 args[ARGS];
	__le32 text_bytes;
	__le32 reserved;
};

struct mailbox_reply {
	__le64 seq;
	__le64 rc;		/* signed */
	__le64 ret[ARGS];
	__le64 timer_ns;	/* absolute guest time at which KIND_TIMER is wanted; 0: not at all */
	__le32 actions;
	__le32 text_bytes;
};

enum action_kind {
	ACTION_ISOLATE = 1,		/* a: AFU, on bare metal card */
	ACTION_EXPOSE = 2,		/* likewise */
	ACTION_RAISE = 3,		/* a: index of the interrupt; on bare metal card, b: IVTE */
	ACTION_PARK = 4,		/* a: token; only when the request said REQUEST_MAY_SLEEP */
	ACTION_RELEASE = 5,		/* a: token */
	ACTION_REMOVE_FACILITY = 6,	/* a: card */
	ACTION_RETURN_FACILITY = 7,	/* a: card */
	ACTION_COPY = 8,		/* a: real address, b: bytes, c: offset in the reply's text */
	ACTION_WATCH = 9,		/* a: AFU, b: bitmap of process areas whose COMMAND is polled */
	ACTION_WRITE = 10,		/* a: real address, b: value of 64 bits, as this processor stores it */
};

struct mailbox_action {
	__le64 kind;
	__le64 a, b, c;
};

#endif
