// SPDX-License-Identifier: GPL-2.0-only
/*
 * A way past one defect of cxl.ko, for a host that asks for it.
 *
 * A recovery in place initialises a character device again, whose former self has open files yet, so that
 * the close of one of them corrupts a list and ends the guest. Unless the host wants to see what comes after
 * that, nothing is done about it.
 */
#include "capicard.h"

#include <linux/cdev.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/io.h>

void capicard_cdev_init(struct cdev *cdev, const struct file_operations *operations);

/* What the last reference to the device would have done. */
static void let_go(struct cdev *cdev)
{
	struct inode *inode, *next;

	list_for_each_entry_safe(inode, next, &cdev->list, i_devices) {
		list_del_init(&inode->i_devices);
		inode->i_cdev = NULL;
	}
}

void capicard_cdev_init(struct cdev *cdev, const struct file_operations *operations)
{
	if (readl(doorbell_memory(WISHES_OFFSET)) & WISH_MEND_CDEV && cdev->list.next)
		let_go(cdev);
	cdev_init(cdev, operations);
}
EXPORT_SYMBOL(capicard_cdev_init);
