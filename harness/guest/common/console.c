// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/phypsim or /dev/capicard: the door by which the agent asks the host's program for faults.
 *
 * One write is one JSON object, and a refusal is the write's error. A read then gives the answer, if there
 * was more to say than that. When a write returns, all that it led to in the guest has happened.
 */
#include "call.h"

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct door {
	struct mutex lock;
	char order[TEXT_BYTES];
	char answer[TEXT_BYTES];
	u32 answer_bytes;
};

static int open(struct inode *inode, struct file *file)
{
	struct door *door = kzalloc(sizeof(*door), GFP_KERNEL);

	if (!door)
		return -ENOMEM;
	mutex_init(&door->lock);
	file->private_data = door;
	return nonseekable_open(inode, file);
}

static int release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static long order(struct door *door, const char __user *from, size_t bytes)
{
	struct call call = {
		.kind = KIND_CONSOLE,
		.text = door->order,
		.text_bytes = bytes,
		.answer = door->answer,
	};

	if (copy_from_user(door->order, from, bytes))
		return -EFAULT;
	order_prepare(&call);
	mailbox_exchange(&call);
	door->answer_bytes = call.answer_bytes;
	order_done();
	if (!call.has_reply || call.rc > 0 || call.rc < -MAX_ERRNO)
		return -EIO;
	return call.rc ?: bytes;
}

static ssize_t write(struct file *file, const char __user *from, size_t bytes, loff_t *offset)
{
	struct door *door = file->private_data;
	ssize_t rc;

	if (!bytes || bytes > TEXT_BYTES)
		return -EMSGSIZE;
	if (mutex_lock_interruptible(&door->lock))
		return -EINTR;
	rc = order(door, from, bytes);
	mutex_unlock(&door->lock);
	return rc;
}

/* The answer is given once. */
static ssize_t read(struct file *file, char __user *to, size_t bytes, loff_t *offset)
{
	struct door *door = file->private_data;
	ssize_t rc;

	if (mutex_lock_interruptible(&door->lock))
		return -EINTR;
	rc = min_t(size_t, bytes, door->answer_bytes);
	if (copy_to_user(to, door->answer, rc))
		rc = -EFAULT;
	else
		door->answer_bytes = 0;
	mutex_unlock(&door->lock);
	return rc;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = open,
	.release = release,
	.write = write,
	.read = read,
	.llseek = no_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = console_name,
	.fops = &operations,
	.mode = 0600,
};

int console_open(void)
{
	return misc_register(&device);
}
