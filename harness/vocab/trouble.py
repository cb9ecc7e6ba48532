"""What the kernel says when it is in trouble: the first words of its reports, and who only passes trouble on.

Facts about Linux 6.1 on ppc64 (arch/powerpc/kernel/{traps,process,watchdog}.c, arch/powerpc/mm/fault.c,
kernel/panic.c, kernel/hung_task.c, kernel/rcu/tree_stall.h, lib/bug.c, lib/list_debug.c, lib/refcount.c,
mm/slub.c). `vocab/oops.py` reads whole reports by these tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Heading(NamedTuple):
    """How a report begins: a line that holds `text`.

    `details` finds the `function` or the `process` in the line. A line that `follows` adds to a report of its
    kind before it, and begins one only when there is none.
    """

    kind: str
    text: str
    details: str = ""
    follows: bool = False


_FUNCTION = r"(?P<function>[\w.$]+)"

HUNG_TASK = " blocked for more than "

HEADINGS: tuple[Heading, ...] = (
    # The most telling first: one report often has several headings, and takes its kind from the first row.
    Heading("list-corruption", "list_add corruption"),
    Heading("list-corruption", "list_add double add"),
    Heading("list-corruption", "list_del corruption"),
    Heading("refcount", "refcount_t: "),
    Heading("memory-access", "BUG: KASAN: ", rf" in {_FUNCTION}"),
    Heading("memory-access", "BUG: KFENCE: ", rf" in {_FUNCTION}"),
    Heading("double-free", "): Object already free"),
    Heading("use-after-free", "): Poison overwritten"),
    Heading("slab-leak", "): Objects remaining in "),
    Heading("slab-leak", "Slab cache still has objects"),
    Heading("slab-corruption", "Redzone overwritten"),
    Heading("slab-corruption", "adding overwritten"),
    Heading("slab-corruption", "): Freepointer corrupt"),
    Heading("slab-corruption", "): Invalid object pointer"),
    Heading("irq", "Trying to free already-free IRQ"),
    Heading("irq", ": nobody cared (try booting"),
    Heading("sysfs-duplicate", "cannot create duplicate filename"),
    Heading("sysfs-duplicate", "kobject_add_internal failed", follows=True),
    Heading("null-pointer", "BUG: Kernel NULL pointer dereference"),
    Heading("bad-jump", "BUG: Unable to handle kernel instruction fetch"),
    Heading("bad-access", "Unable to handle kernel"),
    Heading("bad-access", "BUG: Unable to handle unknown paging fault"),
    Heading("user-access", "Kernel attempted to "),
    Heading("user-access", "kernel tried to execute "),
    Heading("stack", "corrupted stack end detected"),
    Heading("stack", "Kernel stack is corrupted in: ", rf"in: {_FUNCTION}"),
    Heading("stack", "Kernel stack overflow"),
    Heading("stack", "Bad kernel stack pointer"),
    Heading("bug", "kernel BUG at "),
    Heading("bug", "Kernel BUG at ", rf"at {_FUNCTION}"),
    Heading("soft-lockup", "BUG: soft lockup", r"\[(?P<process>.+):\d+\]"),
    Heading("hard-lockup", "Hard LOCKUP"),
    Heading("hard-lockup", "hard LOCKUP", rf" @ {_FUNCTION}"),
    Heading("rcu-stall", "self-detected stall on CPU"),
    Heading("rcu-stall", "detected stalls on CPUs"),
    Heading("rcu-stall", "detected expedited stalls on CPUs"),
    Heading("rcu-stall", " kthread starved for ", follows=True),
    Heading("rcu-stall", "kthread timer wakeup didn't happen", follows=True),
    Heading("hung-task", HUNG_TASK, r"task (?P<process>.+):\d+ blocked"),
    Heading("workqueue", "BUG: workqueue l"),  # "lockup", and "leaked lock or atomic"
    Heading("atomic-schedule", "scheduling while atomic", r"atomic: (?P<process>.+)/\d+/0x"),
    Heading("atomic-sleep", "sleeping function called from invalid context"),
    Heading("bad-page", "BUG: Bad page state"),
    Heading("bad-page", "BUG: Bad page map"),
    Heading("page-table-leak", "BUG: Bad rss-counter state"),
    Heading("page-table-leak", "BUG: non-zero pgtables_bytes"),
    Heading("spinlock", "BUG: spinlock "),
    Heading("locking", "possible recursive locking"),
    Heading("locking", "circular locking dependency"),
    Heading("locking", "inconsistent lock state"),
    Heading("locking", "bad unlock balance"),
    Heading("locking", "suspicious RCU usage"),
    Heading("machine-check", "Machine check"),
    Heading("machine-check", "MCE: ", rf"\] {_FUNCTION}\+0x"),
    Heading("exception", "Unrecoverable exception"),
    Heading("exception", "Unavailable Exception "),
    Heading("exception", "exception in kernel mode"),
    Heading("exception", "Unexpected TM Bad Thing"),
    Heading("memory-leak", "new suspected memory leaks"),
    Heading("no-memory", "page allocation failure", r"(?P<process>\S+): page"),
    Heading("no-memory", " invoked oom-killer", r"(?P<process>\S+) invoked"),
    Heading("no-memory", "Out of memory: Killed process", r"\((?P<process>[^)]+)\)", follows=True),
    Heading("undefined-behaviour", "UBSAN: "),
    Heading("warning", "WARNING: CPU:", rf" at \S+ {_FUNCTION}\+0x"),
    Heading("oops", "Oops: "),
    Heading("bug", "BUG: "),
    Heading("panic", "Kernel panic - not syncing: "),
)

PANIC = "Kernel panic - not syncing: "
OOPS = "Oops: "
DEATHS = (OOPS, PANIC)
"""What the kernel says when something died within it: locks stay taken, and lists half changed."""
CONSEQUENCES = (
    "Fatal exception",
    "Aiee, killing interrupt handler",
    "Attempted to kill init",
    "corrupted stack end detected",
    "softlockup: hung tasks",
    "hung_task: blocked tasks",
    "Hard LOCKUP",
    "RCU Stall",
    "panic_on_warn set",
    "System Reset",
)
"""Why the kernel panics when something else was reported before: no trouble of their own."""

# Functions that report trouble, wait, serve everybody, or begin every call: not at fault, their caller is.
_PASSING_ON = (
    # reporting
    r"dump_stack(_lvl)?|show_stack|(nmi_)?panic|__warn(_printk)?|report_bug|warn_slowpath_\w+|warn_alloc|die",
    r"refcount_\w+|__list_(add|del_entry)_valid|__schedule_bug|__might_\w+|sysfs_\w+|bad_page|dump_header",
    r"(slab|object)_err|print_trailer|check_(object|slab|bytes_and_report)|(alloc|free)_(debug|consistency)_\w+",
    r"oom_kill_process|out_of_memory|nmi_\w+|watchdog_\w+|rcu_\w+|queue_work_on|__queue_(delayed_)?work",
    # waiting
    r"__switch_to|__schedule|schedule(_(timeout|idle|preempt|hr)\w*)?|io_schedule\w*|_*wait_\w+|u?m?sleep\w*",
    r"(__)?mutex_lock\w*|(__)?down(_\w+)?|rwsem_\w+|_raw_(spin|read|write)_\w+|queued_\w+|synchronize_\w+",
    r"(__)?(flush|cancel)_(work|delayed_work)\w*|flush_workqueue|kthread_stop|__delay|(__const_)?udelay",
    # serving
    r"k[mz]alloc\w*|kv?free|__kmalloc\w*|_*kmem_cache_\w+|_*slab_\w+|get_partial_node|free_to_partial_list",
    r"(__)?(alloc|free)_pages?\w*|free_(unref_page|pcppages)\w*|vma_alloc_folio|__folio_alloc|free_large_kmalloc",
    r"mem(cpy|set|move|cmp|chr)\w*|str(l|n|r|s)?(cpy|cat|cmp|len|chr|str)\w*|__copy_tofrom_user\w*|put_page",
    r"(__)?(free|request|enable|disable)_(percpu_|threaded_)?irq\w*|kobject_\w+|kset_\w+|idr_\w+|xa_\w+",
    r"device_(add|register|del|unregister|create)\w*|platform_device_\w+",
    # beginning: system calls, exceptions, interrupts, kernel threads, the idle loop
    r"system_call_\w+|syscall_exit_\w+|interrupt_(exit|return)_\w+|vfs_\w+|ksys_\w+|(__se_)?sys_\w+|seq_\w+",
    r"proc_reg_\w+|kernfs_fop_\w+|new_sync_\w+|_+fput|task_work_run|do_notify_resume|get_signal|do_task_dead",
    r"do_exit|do_group_exit|ret_from_\w+|kthread|worker_thread|process_one_work|do_one_initcall|load_module",
    r"do_idle|cpu_startup_entry|(call_)?cpuidle\w*|shared_cede_loop|dequeue_task\w*",
    r"plpar_hcall\w*|phypsim_\w+",
    r"rest_init|start_(kernel|here_common|secondary\w*)|arch_(post|local)_\w+|(__)?hrtimer_\w+|timer_interrupt|tick_\w+",
    r"call_timer_fn|run_timer_softirq|_*do_softirq\w*|irq_exit\w*|_*do_irq|handle_\w*irq\w*|generic_handle_\w+",
    r"(decrementer|hardware_interrupt|data_\w+|instruction_\w+|program_check|system_reset)_common\w*|smp_\w+",
    r"_*do_page_fault|hash__do_page_fault|do_hash_fault|(__)?handle_mm_fault|wp_page_copy",
)
_IS_PASSING_ON = re.compile("|".join(_PASSING_ON))


class Frame(NamedTuple):
    """A function of a call trace, and the module that it lives in; empty for the kernel itself."""

    function: str
    module: str = ""

    @property
    def is_passing_on(self) -> bool:
        """Whether the function reports, waits, serves or begins, so that its caller is at fault."""
        return _IS_PASSING_ON.fullmatch(self.function) is not None


@dataclass(frozen=True, slots=True)
class Trouble:
    """One report of the kernel. `title` is its most telling line as it was said, `function` the one at fault.

    `frames` are the functions from where it happened outwards; `registers` go by the kernel's names (``NIP``,
    ``DAR``, ``GPR03``); `lines` are the indexes of the texts that head the report; `is_fatal` says that the
    kernel panicked then.
    """

    kind: str
    title: str
    lines: tuple[int, ...]
    function: str = ""
    module: str = ""
    process: str = ""
    frames: tuple[Frame, ...] = ()
    modules: tuple[str, ...] = ()
    registers: Mapping[str, int] = field(default_factory=dict)
    is_fatal: bool = False

    @property
    def callers(self) -> tuple[str, ...]:
        """Who called the function at fault, as far as they are not everybody's callers."""
        names = [frame.function for frame in self.frames if not frame.is_passing_on]
        return tuple(names[names.index(self.function) + 1 :]) if self.function in names else ()

    @property
    def signature(self) -> str:
        """The same for the same trouble: its kind, the function at fault and at most two callers.

        Without any function the words of the title stand for them.
        """
        where = "-".join((self.function, *self.callers[:_CALLERS])) if self.function else self.title
        return f"{self.kind}-{_slug(where)}"[:_SIGNATURE_LENGTH].rstrip("-")


_CALLERS = 2
_SIGNATURE_LENGTH = 120
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b\d+\w*|\b[0-9a-f]{8,}\b", re.IGNORECASE)
_NO_WORD = re.compile(r"[^a-z0-9_]+")


def _slug(text: str) -> str:
    return _NO_WORD.sub("-", _NUMBERS.sub(" ", text.lower())).strip("-")
