// The process outside: signals, tracing, its memory, its files, its scheduling.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static pid_t Victim(void) { return (pid_t)NumberFact("victim"); }

static const char* ProcPath(const char* name) {
  static char path[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%d/%s", Victim(), name);
  return path;
}

// The victim takes any signal but KILL and STOP, and tells.
static void Kills(void) { Report("kill", kill(Victim(), SIGTERM)); }
static void KillsGroup(void) { Report("kill", kill(-Victim(), SIGTERM)); }
// SIGURG is ignored by all who did not ask for it.
static void KillsAll(void) { Report("kill", kill(-1, SIGURG)); }
static void QueuesSignal(void) { Report("sigqueue", sigqueue(Victim(), SIGRTMIN + 1, (union sigval){.sival_int = 1})); }
static void KillsThread(void) { Report("tgkill", syscall(SYS_tgkill, Victim(), Victim(), SIGTERM)); }
static void KillsByPidfd(void) {
  const int fd = (int)syscall(SYS_pidfd_open, Victim(), 0);
  if (!Step("pidfd_open", fd)) return;
  Report("pidfd_send_signal", syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
}
static void Stops(void) { Report("kill", kill(Victim(), SIGSTOP)); }

static void SetsOwner(void) {
  // The kernel sends the signal when data comes. fcntl(2), F_SETOWN.
  int pipe_fds[2];
  if (!Step("pipe", pipe(pipe_fds))) return;
  if (!Step("F_SETOWN", fcntl(pipe_fds[0], F_SETOWN, Victim()))) return;
  fcntl(pipe_fds[0], F_SETSIG, SIGTERM);
  fcntl(pipe_fds[0], F_SETFL, O_ASYNC | O_NONBLOCK);
  Report("write", write(pipe_fds[1], "x", 1));
}


static void Traces(void) {
  if (!Step("PTRACE_SEIZE", ptrace(PTRACE_SEIZE, Victim(), NULL, NULL))) return;
  if (ptrace(PTRACE_INTERRUPT, Victim(), NULL, NULL) != 0 || waitpid(Victim(), NULL, __WALL) < 0) return;
  char data[32];
  for (size_t i = 0; i < sizeof data; i += sizeof(long)) {
    const long word = ptrace(PTRACE_PEEKDATA, Victim(), (void*)(NumberFact("victim_secret") + (long)i), NULL);
    memcpy(data + i, &word, sizeof word);
  }
  Leak(data, sizeof data);
  ptrace(PTRACE_DETACH, Victim(), NULL, NULL);
}

static void ReadsMemory(void) {
  char data[32];
  const struct iovec here = {data, sizeof data};
  const struct iovec there = {(void*)NumberFact("victim_secret"), sizeof data};
  if (Step("process_vm_readv", process_vm_readv(Victim(), &here, 1, &there, 1, 0))) Leak(data, sizeof data);
}

static void WritesMemory(void) {
  long word = 666;
  const struct iovec here = {&word, sizeof word};
  const struct iovec there = {(void*)NumberFact("victim_word"), sizeof word};
  Report("process_vm_writev", process_vm_writev(Victim(), &here, 1, &there, 1, 0));
}

static void ReadsProcMem(void) {
  const int fd = open(ProcPath("mem"), O_RDONLY | O_CLOEXEC);
  if (!Step("open", fd)) return;
  char data[32];
  if (Step("read", pread(fd, data, sizeof data, NumberFact("victim_secret")))) Leak(data, sizeof data);
}

static void WritesProcMem(void) {
  const int fd = open(ProcPath("mem"), O_WRONLY | O_CLOEXEC);
  if (!Step("open", fd)) return;
  const long word = 666;
  Report("write", pwrite(fd, &word, sizeof word, NumberFact("victim_word")));
}

static void ReadsArguments(void) { LeakFile(ProcPath("cmdline")); }
static void ReadsEnvironment(void) { LeakFile(ProcPath("environ")); }
static void OpensDescriptor(void) {
  const int fd = open(ProcPath("fd/9"), O_RDONLY | O_CLOEXEC);
  if (!Step("open", fd)) return;
  char data[64];
  const ssize_t size = pread(fd, data, sizeof data, 0);
  if (Step("read", size)) Leak(data, (size_t)size);
}
static void TakesDescriptor(void) {
  const int pidfd = (int)syscall(SYS_pidfd_open, Victim(), 0);
  if (!Step("pidfd_open", pidfd)) return;
  const int fd = (int)syscall(SYS_pidfd_getfd, pidfd, 9, 0);
  if (!Step("pidfd_getfd", fd)) return;
  char data[64];
  const ssize_t size = pread(fd, data, sizeof data, 0);
  if (Step("read", size)) Leak(data, (size_t)size);
}

static void LeavesByItsRoot(void) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%d/root%s", Victim(), Fact("secret"));
  LeakFile(path);
}

static void ReadsItsMaps(void) {
  // The first line has an address, and the victim's program.
  char data[4096];
  const int fd = open(ProcPath("maps"), O_RDONLY | O_CLOEXEC);
  if (!Step("open", fd)) return;
  const ssize_t size = read(fd, data, sizeof data);
  Report("read", size);
}

static void Compares(void) {
  Report("kcmp", syscall(SYS_kcmp, Victim(), Victim(), KCMP_FILE, 9, 9));
}

static void Advises(void) {
  const int pidfd = (int)syscall(SYS_pidfd_open, Victim(), 0);
  if (!Step("pidfd_open", pidfd)) return;
  const struct iovec there = {(void*)(NumberFact("victim_secret") & ~4095L), 4096};
  Report("process_madvise", syscall(SYS_process_madvise, pidfd, &there, 1, MADV_COLD, 0));
}

static void SetsAffinity(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  Report("sched_setaffinity", sched_setaffinity(Victim(), sizeof one, &one));
}

static void SetsLimit(void) {
  const struct rlimit limit = {100, 100};
  Report("prlimit", prlimit(Victim(), RLIMIT_NOFILE, &limit, NULL));
}

static void SetsPriority(void) { Report("setpriority", setpriority(PRIO_PROCESS, (id_t)Victim(), 7)); }

static void SetsScheduler(void) {
  const struct sched_param parameters = {0};
  Report("sched_setscheduler", sched_setscheduler(Victim(), SCHED_BATCH, &parameters));
}

static void SetsIoPriority(void) {
  // Best effort, level 7: (class << 13) | level.
  Report("ioprio_set", syscall(SYS_ioprio_set, 1, Victim(), (2 << 13) | 7));
}

static void SetsOomScore(void) { Report("write", WriteTo(ProcPath("oom_score_adj"), "777")); }

static void MovesPages(void) {
  void* page = (void*)(NumberFact("victim_secret") & ~4095L);
  int status = 0;
  Report("move_pages", syscall(SYS_move_pages, Victim(), 1, &page, NULL, &status, 0));
}

static void AsksRobustList(void) {
  void* head = NULL;
  size_t size = 0;
  Report("get_robust_list", syscall(SYS_get_robust_list, Victim(), &head, &size));
}

const struct Attack kProcesses[] = {
    {"kill", Kills, kOutside, kAnywhere, "kills a process outside", "pid namespace", NULL, NULL},
    {"kill-group", KillsGroup, kOutside, kAnywhere, "kills a process group outside", "pid namespace", NULL, NULL},
    {"kill-all", KillsAll, kOutside, kAnywhere, "sends a signal to all processes, by pid -1", "pid namespace", NULL, NULL},
    {"sigqueue", QueuesSignal, kOutside, kAnywhere, "queues a signal with a value", "pid namespace, system call filter", NULL, NULL},
    {"tgkill", KillsThread, kOutside, kAnywhere, "kills a thread outside", "pid namespace", NULL, NULL},
    {"pidfd-kill", KillsByPidfd, kOutside, kAnywhere, "kills by a pidfd", "pid namespace", NULL, NULL},
    {"sigstop", Stops, kOutside, kAnywhere, "stops a process outside", "pid namespace", NULL, NULL},
    {"fcntl-setown", SetsOwner, kOutside, kAnywhere, "lets the kernel send a signal, by F_SETOWN", "pid namespace", NULL, NULL},
    {"ptrace", Traces, kSecret, kAnywhere, "traces a process outside and reads its memory", "system call filter, pid namespace", NULL, NULL},
    {"process-vm-readv", ReadsMemory, kSecret, kAnywhere, "reads the memory of a process outside", "system call filter, pid namespace", NULL, NULL},
    {"process-vm-writev", WritesMemory, kOutside, kAnywhere, "writes to the memory of a process outside", "system call filter, pid namespace", NULL, NULL},
    {"proc-mem-read", ReadsProcMem, kSecret, kAnywhere, "reads the memory by /proc/PID/mem", "own /proc", NULL, NULL},
    {"proc-mem-write", WritesProcMem, kOutside, kAnywhere, "writes to the memory by /proc/PID/mem", "own /proc", NULL, NULL},
    {"proc-cmdline", ReadsArguments, kSecret, kAnywhere, "reads the arguments of a process outside", "own /proc", NULL, NULL},
    {"proc-environ", ReadsEnvironment, kSecret, kAnywhere, "reads the environment of a process outside", "own /proc", NULL, NULL},
    {"proc-fd", OpensDescriptor, kSecret, kAnywhere, "opens a descriptor of a process outside by /proc/PID/fd", "own /proc", NULL, NULL},
    {"pidfd-getfd", TakesDescriptor, kSecret, kAnywhere, "takes a descriptor by pidfd_getfd", "pid namespace, system call filter", NULL, NULL},
    {"proc-victim-root", LeavesByItsRoot, kSecret, kAnywhere, "leaves by the root of a process outside", "own /proc", NULL, NULL},
    {"proc-maps", ReadsItsMaps, kClaim, kAnywhere, "reads the memory map of a process outside", "own /proc", NULL, NULL},
    {"kcmp", Compares, kClaim, kMachine, "compares kernel objects of a process outside", "system call filter, pid namespace", NULL, NULL},
    {"process-madvise", Advises, kClaim, kRoot, "pages out memory of a process outside", "system call filter, pid namespace", NULL, NULL},
    {"sched-setaffinity", SetsAffinity, kOutside, kMachine, "binds a process outside to one CPU", "pid namespace", NULL, NULL},
    {"prlimit", SetsLimit, kOutside, kAnywhere, "lowers limits of a process outside", "pid namespace", NULL, NULL},
    {"setpriority", SetsPriority, kOutside, kAnywhere, "makes a process outside nice", "pid namespace", NULL, NULL},
    {"sched-setscheduler", SetsScheduler, kOutside, kAnywhere, "changes the scheduling class of a process outside", "pid namespace", NULL, NULL},
    {"ioprio-set", SetsIoPriority, kOutside, kAnywhere, "changes the I/O priority of a process outside", "pid namespace", NULL, NULL},
    {"oom-score-adj", SetsOomScore, kOutside, kAnywhere, "makes a process outside the first to be killed for memory", "own /proc", NULL, NULL},
    {"move-pages", MovesPages, kClaim, kMachine, "asks where pages of a process outside are", "system call filter, pid namespace", NULL, NULL},
    {"get-robust-list", AsksRobustList, kClaim, kAnywhere, "reads a kernel pointer of a process outside", "pid namespace, system call filter", NULL, NULL},
    {0}};
