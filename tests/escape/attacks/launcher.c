// The launcher itself: its environment, memory, descriptors, program, groups, and its life.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

// The process above, and the one that all are below of.
static pid_t Above(int i) { return i == 0 ? getppid() : 1; }

static void Environment(void) {
  const char* value = getenv("BROOD_PROBE_SECRET");
  if (value == NULL) {
    Stopped("the variable is not there", 0);
  } else {
    Leak(value, strlen(value));
  }
}

static void LaunchersEnvironment(void) {
  for (int i = 0; i < 2; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", Above(i));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!Step(path, fd)) continue;
    char data[16384];
    const ssize_t size = read(fd, data, sizeof data);
    close(fd);
    if (!Step("read", size)) continue;
    const char* found = memmem(data, (size_t)size, "BROOD_PROBE_SECRET=", 19);
    if (found != NULL) Leak(found, 64);
  }
}

// Where the stack of that process is, on which its environment lies.
static bool FindStack(pid_t pid, unsigned long* begin, unsigned long* end) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE* file = fopen(path, "re");
  if (!Step(path, file != NULL ? 0 : -1)) return false;
  char line[512];
  bool found = false;
  while (!found && fgets(line, sizeof line, file) != NULL) {
    found = strstr(line, "[stack]") != NULL && sscanf(line, "%lx-%lx", begin, end) == 2;
  }
  fclose(file);
  return found;
}

static void LaunchersMemory(void) {
  for (int i = 0; i < 2; ++i) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (!FindStack(Above(i), &begin, &end)) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", Above(i));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!Step(path, fd)) continue;
    static char data[1 << 16];
    const unsigned long size = end - begin < sizeof data ? end - begin : sizeof data;
    const ssize_t got = pread(fd, data, size, (off_t)(end - size));
    close(fd);
    if (!Step("read", got)) continue;
    const char* found = memmem(data, (size_t)got, "BROOD_PROBE_SECRET=", 19);
    if (found != NULL) Leak(found, 64);
  }
}

static void ReadsLauncherByCall(void) {
  for (int i = 0; i < 2; ++i) {
    char byte;
    const struct iovec here = {&byte, 1};
    const struct iovec there = {(void*)0x1000, 1};
    // EFAULT, since nothing is there, comes after the question whether we may.
    errno = 0;
    const ssize_t got = process_vm_readv(Above(i), &here, 1, &there, 1, 0);
    if (got < 0 && errno == EFAULT) {
      Succeeded("process_vm_readv");
    } else {
      Report("process_vm_readv", got);
    }
  }
}

static void TracesLauncher(void) {
  for (int i = 0; i < 2; ++i) Report("PTRACE_SEIZE", ptrace(PTRACE_SEIZE, Above(i), NULL, NULL));
}

static void LimitsLauncher(void) {
  // Not low: a limit of a second would end an init that is busy, and with it all that it has to tell.
  const struct rlimit time = {1 << 30, 1 << 30};
  // A parent that is outside of the pid namespace has no number here, and 0 is oneself.
  const pid_t above = Above(0) != 0 ? Above(0) : Above(1);
  Report("prlimit", prlimit(above, RLIMIT_CPU, &time, NULL));
  Report("prlimit with a higher bit", syscall(SYS_prlimit64, (1L << 32) | above, RLIMIT_CPU, &time, NULL));
}

// What is above and not oneself; 0 if nothing is.
static pid_t AboveMe(void) {
  const pid_t above = Above(0) != 0 ? Above(0) : Above(1);
  if (above != getpid()) return above;
  Stopped("nothing is above", 0);
  return 0;
}

// To what they are, all four: an idle init, beside processes that spin, tells nobody that the program has ended.
static void SchedulesLauncher(void) {
  const pid_t above = AboveMe();
  if (above == 0) return;
  struct sched_param parameters;
  if (!Step("sched_getparam", sched_getparam(above, &parameters))) return;
  Report("sched_setparam", sched_setparam(above, &parameters));
  Report("sched_setscheduler", sched_setscheduler(above, sched_getscheduler(above), &parameters));
  Report("with a higher bit", syscall(SYS_sched_setscheduler, (1L << 32) | above, sched_getscheduler(above), &parameters));
}
static void MakesLauncherNice(void) {
  const pid_t above = AboveMe();
  if (above != 0) Report("setpriority", setpriority(PRIO_PROCESS, (id_t)above, getpriority(PRIO_PROCESS, (id_t)above)));
}
static void BindsLauncher(void) {
  cpu_set_t set;
  const pid_t above = AboveMe();
  if (above == 0 || !Step("sched_getaffinity", sched_getaffinity(above, sizeof set, &set))) return;
  Report("sched_setaffinity", sched_setaffinity(above, sizeof set, &set));
}
static void LaunchersInputAndOutput(void) {
  const pid_t above = AboveMe();
  const long now = above != 0 ? syscall(SYS_ioprio_get, 1, above) : -1;
  if (above != 0 && Step("ioprio_get", now)) Report("ioprio_set", syscall(SYS_ioprio_set, 1, above, now));
}

static void TakesLaunchersDescriptors(void) {
  for (int i = 0; i < 2; ++i) {
    const int pidfd = (int)syscall(SYS_pidfd_open, Above(i), 0);
    if (Step("pidfd_open", pidfd)) LeakDescriptor("pidfd_getfd", (int)syscall(SYS_pidfd_getfd, pidfd, 10, 0));
  }
}

static void AdvisesOnLaunchersMemory(void) {
  const pid_t above = AboveMe();
  if (above == 0) return;
  const int pidfd = (int)syscall(SYS_pidfd_open, above, 0);
  const struct iovec nothing = {(void*)0x1000, 0x1000};
  if (Step("pidfd_open", pidfd)) ReportReached("process_madvise", syscall(SYS_process_madvise, pidfd, &nothing, 1, 20 /* MADV_COLD */, 0));
}

static void OpensLaunchersNamespaces(void) {
  const pid_t above = AboveMe();
  if (above == 0) return;
  const int pidfd = (int)syscall(SYS_pidfd_open, above, 0);
  // PIDFD_GET_MNT_NAMESPACE, Linux 6.11.
  if (Step("pidfd_open", pidfd)) Report("namespace of a pidfd", ioctl(pidfd, _IO(0xff, 3), 0));
}

static void LaunchersDescriptors(void) {
  for (int i = 0; i < 2; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/10", Above(i));
    LeakFile(path);
  }
}

static void LaunchersProgram(void) {
  struct stat own;
  if (!Step("stat", stat("/proc/self/exe", &own))) return;
  for (int i = 0; i < 2; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", Above(i));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat other;
    if (!Step(path, fd) || fstat(fd, &other) != 0) continue;
    if (other.st_ino != own.st_ino) Succeeded(path);
  }
}

static void KeepsGroups(void) {
  gid_t groups[64];
  const int count = getgroups(64, groups);
  for (int i = 0; i < count; ++i) {
    if (groups[i] == 4 || groups[i] == 24) Succeeded("a group of the launcher");
  }
  Stopped("no group of the launcher", 0);
}

static void Sleep(long seconds) {
  const struct timespec time = {seconds, 0};
  nanosleep(&time, NULL);
}

// The process above, to be hit. Not if that is the probe, to which orphans of a launcher come.
static pid_t Parent(void) {
  const pid_t parent = getppid();
  if (parent != (pid_t)NumberFact("probe")) return parent;
  Stopped("the process above is the probe", 0);
  exit(0);
}

static void KillsLauncher(void) {
  const pid_t parent = Parent();
  if (!Step("kill", kill(parent, SIGKILL))) return;
  // If it is gone, whoever is left in charge of us?
  for (int i = 0; i < 100 && getppid() == parent; ++i) nanosleep(&(struct timespec){0, 2000000}, NULL);
  if (getppid() == parent) {
    Stopped("the launcher is alive", 0);
    return;
  }
  Sleep(30);
}

static void StopsLauncher(void) {
  Step("stop the parent", kill(Parent(), SIGSTOP));
  Step("stop pid 1", kill(1, SIGSTOP));
  Sleep(30);
}

static void StormsLauncher(void) {
  static const int kSignals[] = {SIGCHLD, SIGURG, SIGCONT, SIGWINCH};
  for (unsigned i = 0;; ++i) kill(Parent(), kSignals[i % 4]);
}

static void OutlivesLauncher(void) {
  char line[128];
  snprintf(line, sizeof line, "\n%s asks kill-launcher\n", Nonce());
  if (write(STDOUT_FILENO, line, strlen(line)) < 0) return;
  Sleep(30);
}

static void ForgesEnd(void) {
  // Words that a launcher might read from its helper, to every descriptor that there is.
  static const char kForged[] = "\n{\"v\":1,\"status\":\"ok\",\"exit_code\":0}\n\0\0\0\0\0\0\0\0";
  int written = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    if (write(fd, kForged, sizeof kForged) > 0) ++written;
  }
  if (written > 0) Succeeded("wrote to a descriptor that was not asked for");
  Stopped("no descriptor takes it", 0);
}

const struct Attack kLauncher[] = {
    {"environment", Environment, kSecret, kAnywhere, "reads a variable of the launcher", "minimal environment", NULL, NULL},
    {"init-environ", LaunchersEnvironment, kSecret, kAnywhere, "reads the environment of the process above by /proc", "init that is not dumpable", NULL, NULL},
    {"init-memory", LaunchersMemory, kSecret, kAnywhere, "reads the memory of the process above by /proc", "init that is not dumpable", NULL, NULL},
    {"init-vm-readv", ReadsLauncherByCall, kClaim, kAnywhere, "reads the memory of the process above by a system call", "system call filter, init that is not dumpable", NULL, NULL},
    {"init-ptrace", TracesLauncher, kClaim, kAnywhere, "traces the process above", "system call filter, init that is not dumpable", NULL, NULL},
    {"init-limits", LimitsLauncher, kClaim, kAnywhere, "limits the CPU time of the process above", "system call filter", NULL, NULL},
    {"init-scheduling", SchedulesLauncher, kClaim, kAnywhere, "schedules the process above (as it is)", "system call filter", NULL, NULL},
    {"init-nice", MakesLauncherNice, kClaim, kAnywhere, "sets the nice value of the process above (to what it is)", "system call filter", NULL, NULL},
    {"init-affinity", BindsLauncher, kClaim, kAnywhere, "binds the process above to CPUs (that it has)", "system call filter", NULL, NULL},
    {"init-io-priority", LaunchersInputAndOutput, kClaim, kMachine, "sets the I/O priority of the process above (to what it is)", "system call filter", NULL, NULL},
    {"init-getfd", TakesLaunchersDescriptors, kSecret, kMachine, "takes descriptors of the process above by pidfd_getfd", "system call filter, init that is not dumpable", NULL, NULL},
    {"init-madvise", AdvisesOnLaunchersMemory, kClaim, kMachine, "gives advice on memory of the process above", "system call filter, init that is not dumpable", NULL, NULL},
    {"init-namespaces", OpensLaunchersNamespaces, kClaim, kMachine, "opens the namespaces of the process above by its pidfd", "init that is not dumpable", NULL, NULL},
    {"init-fd", LaunchersDescriptors, kSecret, kAnywhere, "opens descriptors of the process above", "init that is not dumpable", NULL, NULL},
    {"init-exe", LaunchersProgram, kClaim, kAnywhere, "opens the launcher's program by /proc/PID/exe", "init that is not dumpable", NULL, NULL},
    {"launcher-groups", KeepsGroups, kClaim, kRoot, "keeps a group of the launcher", "setgroups", NULL, NULL},
    {"kills-launcher", KillsLauncher, kSurvivor, kAnywhere, "kills the process above and goes on", "init as pid 1", NULL, NULL},
    {"stops-launcher", StopsLauncher, kTime, kAnywhere, "stops the process above, and with it the clock", "guardian outside", NULL, "--wall-time 500ms"},
    {"storms-launcher", StormsLauncher, kTime, kAnywhere, "sends signals to the process above without end", "guardian outside", NULL, "--wall-time 500ms"},
    {"outlives-launcher", OutlivesLauncher, kSurvivor, kAnywhere, "goes on when the launcher is killed", "guardian, lifeline", NULL, NULL},
    {"forges-end", ForgesEnd, kClaim, kAnywhere, "writes a report of its own to every descriptor", "close_range", NULL, NULL},
    {0}};
