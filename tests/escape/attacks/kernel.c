// System calls that programs do not need and attackers like: each is asked for what changes nothing.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void MakesRing(void) {
  struct io_uring_params parameters = {0};
  Report("io_uring_setup", syscall(SYS_io_uring_setup, 4, &parameters));
}

// Opens the secret by an io_uring: a system call that no filter sees.
static void OpensByRing(void) {
  struct io_uring_params p = {0};
  const int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
  if (!Step("io_uring_setup", ring)) return;
  char* sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  char* cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED,
                  ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe* sqe =
      mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (!Step("mmap", sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED ? -1 : 0)) return;
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = IORING_OP_OPENAT;
  sqe->fd = AT_FDCWD;
  sqe->addr = (uintptr_t)Fact("secret");
  sqe->open_flags = O_RDONLY;
  ((unsigned*)(sq + p.sq_off.array))[0] = 0;
  __atomic_store_n((unsigned*)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (!Step("io_uring_enter", syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0))) return;
  const int result = ((struct io_uring_cqe*)(cq + p.cq_off.cqes))[0].res;
  errno = -result;
  if (Step("open by io_uring", result)) LeakDescriptor("read", result);
}

static void HandlesFaults(void) {
  // For faults of user space only, which needs no rights. userfaultfd(2), UFFD_USER_MODE_ONLY.
  Report("userfaultfd", syscall(SYS_userfaultfd, 1));
}

static void MakesBpfMap(void) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  Report("BPF_MAP_CREATE", syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr));
}

static void LoadsBpf(void) {
  // r0 = 0; exit.
  struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2, .insns = (uintptr_t)code,
                         .license = (uintptr_t)"GPL"};
  Report("BPF_PROG_LOAD", syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
}

static void Measures(void) {
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK,
                                 .disabled = 1, .exclude_kernel = 1, .exclude_hv = 1};
  Report("perf_event_open", syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static void AddsKey(void) {
  Report("add_key", syscall(SYS_add_key, "user", Nonce(), "x", 1L, (long)KEY_SPEC_PROCESS_KEYRING));
}
static void MakesSessionKeyring(void) {
  Report("keyctl", syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static void LoadsKernel(void) { ReportReached("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, ~0UL)); }
static void LoadsKernelFile(void) { ReportReached("kexec_file_load", syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL)); }
static void LoadsModule(void) { ReportReached("init_module", syscall(SYS_init_module, NULL, 0, "")); }
static void LoadsModuleFile(void) { ReportReached("finit_module", syscall(SYS_finit_module, -1, "", 0)); }
static void RemovesModule(void) { ReportReached("delete_module", syscall(SYS_delete_module, "no_such_module", 04000)); }
static void IoPorts(void) { Report("iopl", iopl(3)); }
static void IoPort(void) { Report("ioperm", ioperm(0x80, 1, 1)); }
static void LocalDescriptors(void) {
  struct {
    unsigned entry, base, limit, flags;
  } descriptor = {0, 0, 0, 0x68};
  Report("modify_ldt", syscall(SYS_modify_ldt, 1, &descriptor, sizeof descriptor));
}
static void SwapsOn(void) { ReportReached("swapon", swapon("/no-such-file", 0)); }
static void SwapsOff(void) { ReportReached("swapoff", swapoff("/no-such-file")); }
static void Reboots(void) { ReportReached("reboot", syscall(SYS_reboot, 1, 2, 3, NULL)); }
static void Accounts(void) { ReportReached("acct", acct("/no-such-file")); }
static void SetsTime(void) {
  // Asks for nothing to be set, and still needs the right to.
  Report("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
}
static void TunesClock(void) {
  struct timex timex = {.modes = 0};
  if (!Step("adjtimex", adjtimex(&timex))) return;
  timex.modes = ADJ_TICK;  // To what it is.
  Report("adjtimex", adjtimex(&timex));
}
static void TunesClockById(void) {
  struct timex timex = {.modes = 0};
  if (!Step("clock_adjtime", clock_adjtime(CLOCK_REALTIME, &timex))) return;
  timex.modes = ADJ_TICK;
  Report("clock_adjtime", clock_adjtime(CLOCK_REALTIME, &timex));
}
static void ReadsLog(void) { Report("syslog", klogctl(10, NULL, 0)); }
static void ReadsLogText(void) {
  static char text[4096];
  Report("syslog", klogctl(3, text, sizeof text));
}
static void HangsUp(void) {
  // Without a terminal there is nothing to hang up.
  if (fork() == 0) {
    setsid();
    Report("vhangup", syscall(SYS_vhangup));
    _exit(0);
  }
  wait(NULL);
}
static void WatchesFiles(void) { Report("fanotify_init", fanotify_init(FAN_CLASS_CONTENT, O_RDONLY)); }
static void WatchesFilesAsUser(void) { Report("fanotify_init", fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY)); }
static void SecretMemory(void) { Report("memfd_secret", syscall(447, 0)); }
static void Quota(void) { ReportReached("quotactl", syscall(SYS_quotactl, 0x80000700 | 0, "/no-such-device", 0, NULL)); }
static void QuotaOfDescriptor(void) {
  const int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (Step("open", root)) ReportReached("quotactl_fd", syscall(443, root, 0x80000700 | 0, 0, NULL));
}
static void RegistersWithoutRing(void) { ReportReached("io_uring_register", syscall(SYS_io_uring_register, -1, 31, NULL, 1)); }
static void Cookies(void) { ReportReached("lookup_dcookie", syscall(SYS_lookup_dcookie, 0L, NULL, 0)); }
static void MigratesPages(void) { ReportReached("migrate_pages", syscall(SYS_migrate_pages, 1, 0, NULL, NULL)); }

static void MapsZero(void) {
  // Where a null pointer of the kernel leads to.
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  Report("mmap at 0", page == MAP_FAILED ? -1 : 0);
}

static void OwnListener(void) {
  // A supervisor of one's own could answer in the launcher's place. seccomp_unotify(2).
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, code};
  if (!Step("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))) return;
  Report("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static void TracesChild(void) {
  // A tracer changes the calls of its child after they were checked, on kernels before 4.8.
  const pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  if (!Step("fork", pid)) return;
  Report("PTRACE_SEIZE of a child", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

static void AsksToBeTraced(void) {
  if (fork() == 0) {
    Report("PTRACE_TRACEME", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    _exit(0);
  }
  wait(NULL);
}

static void ReadsOwnByCall(void) {
  char from = 'x';
  char to;
  const struct iovec here = {&to, 1};
  const struct iovec there = {&from, 1};
  Report("process_vm_readv of itself", process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

static void SetsMemoryMap(void) {
  // To what it is. prctl(2), PR_SET_MM.
  Report("PR_SET_MM", prctl(PR_SET_MM, PR_SET_MM_BRK, sbrk(0), 0, 0));
}

static void NotificationPipe(void) {
  int ends[2];
  Report("pipe2 with O_NOTIFICATION_PIPE", pipe2(ends, O_EXCL));  // The same bit.
}

const struct Attack kKernel[] = {
    {"io-uring", MakesRing, kClaim, kMachine, "makes an io_uring", "system call filter", NULL, NULL},
    {"io-uring-open", OpensByRing, kSecret, kMachine, "opens a file by io_uring, past the filter", "system call filter, mount namespace", NULL, NULL},
    {"userfaultfd", HandlesFaults, kClaim, kMachine, "handles its own page faults", "system call filter", NULL, NULL},
    {"bpf-map", MakesBpfMap, kClaim, kMachine, "makes a BPF map", "system call filter", NULL, NULL},
    {"bpf-load", LoadsBpf, kClaim, kMachine, "loads a program into the kernel", "system call filter", NULL, NULL},
    {"perf", Measures, kClaim, kMachine, "opens a performance counter", "system call filter", NULL, NULL},
    {"add-key", AddsKey, kClaim, kMachine, "adds a key", "system call filter", NULL, NULL},
    {"join-session", MakesSessionKeyring, kClaim, kMachine, "makes a session keyring", "system call filter", NULL, NULL},
    {"kexec", LoadsKernel, kClaim, kMachine, "loads another kernel", "system call filter", NULL, NULL},
    {"kexec-file", LoadsKernelFile, kClaim, kMachine, "loads another kernel from a file", "system call filter", NULL, NULL},
    {"init-module", LoadsModule, kClaim, kMachine, "loads a kernel module", "system call filter", NULL, NULL},
    {"finit-module", LoadsModuleFile, kClaim, kMachine, "loads a kernel module from a file", "system call filter", NULL, NULL},
    {"delete-module", RemovesModule, kClaim, kMachine, "removes a kernel module", "system call filter", NULL, NULL},
    {"iopl", IoPorts, kClaim, kMachine, "takes all I/O ports", "system call filter", NULL, NULL},
    {"ioperm", IoPort, kClaim, kMachine, "takes an I/O port", "system call filter", NULL, NULL},
    {"modify-ldt", LocalDescriptors, kClaim, kMachine, "makes a segment descriptor", "system call filter", NULL, NULL},
    {"swapon", SwapsOn, kClaim, kMachine, "adds swap", "system call filter", NULL, NULL},
    {"swapoff", SwapsOff, kClaim, kMachine, "takes swap away", "system call filter", NULL, NULL},
    {"reboot", Reboots, kClaim, kRoot, "restarts the machine, with a wrong magic number", "system call filter", NULL, NULL},
    {"acct", Accounts, kClaim, kMachine, "writes process accounting", "system call filter", NULL, NULL},
    {"settimeofday", SetsTime, kClaim, kRoot, "sets the clock (to nothing)", "system call filter", NULL, NULL},
    {"adjtimex", TunesClock, kClaim, kRoot, "tunes the clock (to what it is)", "system call filter", NULL, NULL},
    {"clock-adjtime", TunesClockById, kClaim, kRoot, "tunes the clock by another call", "system call filter", NULL, NULL},
    {"syslog-size", ReadsLog, kClaim, kMachine, "asks for the size of the kernel's log", "system call filter", NULL, NULL},
    {"syslog", ReadsLogText, kClaim, kMachine, "reads the kernel's log", "system call filter", NULL, NULL},
    {"vhangup", HangsUp, kClaim, kRoot, "hangs up a terminal", "system call filter", NULL, NULL},
    {"fanotify", WatchesFiles, kClaim, kMachine, "decides about opens of others", "system call filter", NULL, NULL},
    {"fanotify-user", WatchesFilesAsUser, kClaim, kMachine, "watches files by fanotify", "system call filter", NULL, NULL},
    {"memfd-secret", SecretMemory, kClaim, kMachine, "makes memory that the kernel does not map", "system call filter: ENOSYS", NULL, NULL},
    {"quotactl", Quota, kClaim, kMachine, "asks for disk quotas", "system call filter", NULL, NULL},
    {"quotactl-fd", QuotaOfDescriptor, kClaim, kMachine, "asks for disk quotas by a descriptor", "system call filter", NULL, NULL},
    {"io-uring-register", RegistersWithoutRing, kClaim, kMachine, "sends to an io_uring without having one", "system call filter", NULL, NULL},
    {"lookup-dcookie", Cookies, kClaim, kMachine, "asks for a profiler's cookie", "system call filter", NULL, NULL},
    {"migrate-pages", MigratesPages, kClaim, kMachine, "moves pages between nodes", "system call filter", NULL, NULL},
    {"mmap-zero", MapsZero, kClaim, kMachine, "maps address 0", "no capabilities", NULL, NULL},
    {"set-mm", SetsMemoryMap, kClaim, kMachine, "changes what the kernel has noted of its memory", "no capabilities", NULL, NULL},
    {"notification-pipe", NotificationPipe, kClaim, kMachine, "makes a pipe for the kernel's watch queues", "system call filter", NULL, NULL},
    {"own-listener", OwnListener, kClaim, kMachine, "becomes a supervisor of system calls", "the filter has a listener already", NULL, NULL},
    {"ptrace-child", TracesChild, kClaim, kAnywhere, "traces its own child", "system call filter", NULL, NULL},
    {"ptrace-traceme", AsksToBeTraced, kClaim, kAnywhere, "lets itself be traced", "system call filter", NULL, NULL},
    {"process-vm-self", ReadsOwnByCall, kClaim, kAnywhere, "reads memory by process_vm_readv at all", "system call filter", NULL, NULL},
    {0}};
