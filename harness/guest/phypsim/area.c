// SPDX-License-Identifier: GPL-2.0-only
/*
 * The AFUs' memory: one ivshmem device for each AFU, its isolation, and the watch on COMMAND registers.
 *
 * Isolation is the machine's own, so that mappings which a process has already are isolated too: the
 * device has an expansion ROM as large as its memory and full of Fs, and both are put at the same address.
 * While the ROM is enabled it lies on top: loads give all Fs, stores are dropped, and the memory keeps its
 * contents beneath. One configuration write begins and one ends it.
 *
 * The memory is RAM, so nothing happens by itself when a process stores to COMMAND. As long as PHYP wants
 * it, the registers in question are looked at: when a processor has nothing to do any more, since then the
 * process that stored has gone to sleep, and with each tick, for one that stays awake. A timer that woke an
 * idle guest for it would cost most of the time that virtual time saves.
 */
#include "phypsim.h"

#include <linux/io.h>
#include <linux/timer.h>
#include <trace/events/power.h>

#define MEMORY_BAR	2

struct area {
	struct pci_dev *device;
	void __iomem *memory;
	phys_addr_t address;
	resource_size_t bytes;
	u32 rom_address;	/* as the bus sees it, without the enable bit */
	bool is_isolated;
	u16 watched;		/* bitmap of process areas */
};

static struct area areas[AFUS_MAX];
static unsigned int count;
static struct timer_list tick;

static void set_bar(struct pci_dev *device, int bar, u32 address)
{
	pci_write_config_dword(device, PCI_BASE_ADDRESS_0 + bar * sizeof(u32), address);
}

/*
 * Linux has given the ROM a place in the 32 bit window and will not enable it by itself. The memory moves
 * there: the other way round is not possible, because a ROM's address has 32 bits only.
 */
static int move_onto_rom(struct area *area)
{
	struct pci_dev *device = area->device;
	struct resource *rom = &device->resource[PCI_ROM_RESOURCE];
	struct pci_bus_region region;

	area->bytes = pci_resource_len(device, MEMORY_BAR);
	if (!rom->start || resource_size(rom) != area->bytes || area->bytes < P2N_OFFSET + P2N_BYTES) {
		pr_err("AFU memory %pR and ROM %pR: both have to be there, equally large, at least %#x bytes\n",
		       &device->resource[MEMORY_BAR], rom, P2N_OFFSET + P2N_BYTES);
		return -EINVAL;
	}
	pcibios_resource_to_bus(device->bus, &region, rom);
	area->rom_address = region.start;
	area->address = rom->start;

	pci_write_config_word(device, PCI_COMMAND, 0);
	set_bar(device, MEMORY_BAR, area->rom_address);
	set_bar(device, MEMORY_BAR + 1, 0);
	pci_write_config_dword(device, PCI_ROM_ADDRESS, area->rom_address);
	pci_write_config_word(device, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

	area->memory = ioremap(area->address, area->bytes);
	return area->memory ? 0 : -ENOMEM;
}

int area_isolate(u64 afu, bool is_isolated)
{
	struct area *area;

	if (afu >= count)
		return -EINVAL;
	area = &areas[afu];
	area->is_isolated = is_isolated;
	return pci_write_config_dword(area->device, PCI_ROM_ADDRESS,
				      area->rom_address | (is_isolated ? PCI_ROM_ADDRESS_ENABLE : 0));
}

static bool is_anything_watched(void)
{
	unsigned int afu;

	for (afu = 0; afu < count; afu++)
		if (READ_ONCE(areas[afu].watched))
			return true;
	return false;
}

int area_watch(u64 afu, u64 bitmap)
{
	if (afu >= count || bitmap >> PROCESS_AREAS)
		return -EINVAL;
	WRITE_ONCE(areas[afu].watched, bitmap);
	if (bitmap && !timer_pending(&tick))
		mod_timer(&tick, jiffies + 1);
	return 0;
}

/* All Fs is no command, but what a load gives that an isolation has overtaken on another processor. */
static void look_at(unsigned int afu, unsigned int process)
{
	u64 value = readq(areas[afu].memory + process * PROCESS_AREA_BYTES + COMMAND_REGISTER);
	struct call call = { .kind = KIND_COMMAND, .opcode = afu, .args = { process, value } };

	if (value && value != ~0ULL)
		mailbox_exchange_locked(&call);
}

static void look(void)
{
	unsigned long flags;
	unsigned int afu, process;

	if (!is_anything_watched())
		return;
	flags = mailbox_lock();
	/* What a command leads to may change both conditions, so they are asked again each time. */
	for (afu = 0; afu < count; afu++)
		for (process = 0; process < PROCESS_AREAS; process++)
			if (!areas[afu].is_isolated && areas[afu].watched & BIT(process))
				look_at(afu, process);
	mailbox_unlock(flags);
}

static void look_at_tick(struct timer_list *timer)
{
	look();
	if (is_anything_watched())
		mod_timer(timer, jiffies + 1);
}

static void look_when_idle(void *unused, unsigned int state, unsigned int cpu)
{
	if (state != PWR_EVENT_EXIT)
		look();
}

int areas_open(void)
{
	int rc;

	/* Deferrable: not for an idle processor. With several, this one's idleness says nothing of the others. */
	timer_setup(&tick, look_at_tick, num_online_cpus() == 1 ? TIMER_DEFERRABLE : 0);
	rc = register_trace_cpu_idle(look_when_idle, NULL);
	if (rc)
		return rc;

	for (count = 0; count < AFUS_MAX; count++) {
		struct area *area = &areas[count];

		area->device = find_shared_memory(AFU_SLOT(count));
		if (!area->device)
			break;
		rc = move_onto_rom(area);
		if (rc)
			return rc;
	}
	if (!count)
		pr_err("no ivshmem device in PCI slot %#x: QEMU has to plug in one for each AFU\n", AFU_SLOT(0));
	return count ? 0 : -ENODEV;
}

unsigned int areas_count(void)
{
	return count;
}

phys_addr_t area_address(unsigned int afu)
{
	return areas[afu].address;
}

resource_size_t area_bytes(unsigned int afu)
{
	return areas[afu].bytes;
}
