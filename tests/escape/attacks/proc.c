// What /proc and /sys offer: settings of the kernel, and what it tells of the machine. Opened only, never written.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void CorePattern(void) { ReportOpen("/proc/sys/kernel/core_pattern", O_WRONLY); }
static void Modprobe(void) { ReportOpen("/proc/sys/kernel/modprobe", O_WRONLY); }
static void DropCaches(void) { ReportOpen("/proc/sys/vm/drop_caches", O_WRONLY); }
static void Forwarding(void) { ReportOpen("/proc/sys/net/ipv4/ip_forward", O_WRONLY); }
static void HostnameSetting(void) { ReportOpen("/proc/sys/kernel/hostname", O_WRONLY); }
static void NamespaceLimit(void) { ReportOpen("/proc/sys/user/max_user_namespaces", O_WRONLY); }
static void Sysrq(void) { ReportOpen("/proc/sysrq-trigger", O_WRONLY); }
static void IrqAffinity(void) { ReportOpen("/proc/irq/default_smp_affinity", O_WRONLY); }
static void BinaryFormats(void) { ReportOpen("/proc/sys/fs/binfmt_misc/register", O_WRONLY); }
static void Kcore(void) { ReportOpen("/proc/kcore", O_RDONLY); }
static void Kmsg(void) { ReportOpen("/proc/kmsg", O_RDONLY); }
static void TimerList(void) { ReportOpen("/proc/timer_list", O_RDONLY); }
static void SlabInfo(void) { ReportOpen("/proc/slabinfo", O_RDONLY); }
static void VmallocInfo(void) { ReportOpen("/proc/vmallocinfo", O_RDONLY); }
static void KernelPages(void) { ReportOpen("/proc/kpageflags", O_RDONLY); }
static void Huge(void) { ReportOpen("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY); }
static void UeventHelper(void) { ReportOpen("/sys/kernel/uevent_helper", O_WRONLY); }
static void PowerState(void) { ReportOpen("/sys/power/state", O_WRONLY); }
static void Debugfs(void) { ReportOpen("/sys/kernel/debug/sched", O_RDONLY); }
static void Tracefs(void) { ReportOpen("/sys/kernel/tracing/trace", O_RDONLY); }
static void OwnOomScore(void) { Report("write", WriteTo("/proc/self/oom_score_adj", "-500")); }

static void CgroupProcesses(void) {
  static const char* const kPaths[] = {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs",
                                       "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/pids/tasks"};
  for (size_t i = 0; i < sizeof kPaths / sizeof *kPaths; ++i) ReportOpen(kPaths[i], O_WRONLY);
}

static void ReleaseAgent(void) {
  static const char* const kPaths[] = {"/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/pids/release_agent",
                                       "/sys/fs/cgroup/devices/release_agent"};
  for (size_t i = 0; i < sizeof kPaths / sizeof *kPaths; ++i) ReportOpen(kPaths[i], O_WRONLY);
}

// Succeeded if any line of the file begins with something else than zeros and blanks.
static void Addresses(const char* path) {
  FILE* file = fopen(path, "re");
  if (file == NULL) {
    Stopped(path, errno);
    return;
  }
  char line[512];
  while (fgets(line, sizeof line, file) != NULL) {
    if (strtoull(line, NULL, 16) != 0) {
      Succeeded("an address of the kernel");
      return;
    }
  }
  Stopped("addresses are hidden", 0);
}

static void KernelSymbols(void) { Addresses("/proc/kallsyms"); }
static void PhysicalMemory(void) {
  FILE* file = fopen("/proc/iomem", "re");
  if (file == NULL) {
    Stopped("/proc/iomem", errno);
    return;
  }
  char line[512];
  while (fgets(line, sizeof line, file) != NULL) {
    const char* dash = strchr(line, '-');
    if (dash != NULL && strtoull(dash + 1, NULL, 16) != 0) {
      Succeeded("an address of the machine");
      return;
    }
  }
  Stopped("addresses are hidden", 0);
}

static void Keys(void) {
  // Keys of others, by their descriptions.
  FILE* file = fopen("/proc/keys", "re");
  if (file == NULL) {
    Stopped("/proc/keys", errno);
    return;
  }
  char line[512];
  while (fgets(line, sizeof line, file) != NULL) {
    if (strstr(line, "brood-probe") != NULL) Succeeded("it lists the launcher's key");
  }
  Stopped("no key of the launcher is listed", 0);
}

const struct Attack kProc[] = {
    {"core-pattern", CorePattern, kClaim, kRoot, "opens the setting of what runs at a crash", "read-only /proc", NULL, NULL},
    {"modprobe-path", Modprobe, kClaim, kMachine, "opens the setting of what loads modules", "read-only /proc", NULL, NULL},
    {"drop-caches", DropCaches, kClaim, kRoot, "opens a memory setting", "read-only /proc", NULL, NULL},
    {"ip-forward", Forwarding, kClaim, kRoot, "opens a network setting", "read-only /proc", NULL, NULL},
    {"hostname-setting", HostnameSetting, kClaim, kRoot, "opens the host name's setting", "read-only /proc", NULL, NULL},
    {"namespace-limit", NamespaceLimit, kClaim, kMachine, "opens the limit of user namespaces", "read-only /proc", NULL, NULL},
    {"sysrq", Sysrq, kClaim, kMachine, "opens the key to restart the machine", "read-only /proc", NULL, NULL},
    {"irq-affinity", IrqAffinity, kClaim, kMachine, "opens a setting of interrupts", "read-only /proc", NULL, NULL},
    {"binfmt-misc", BinaryFormats, kClaim, kMachine, "opens the register of program formats", "read-only /proc", NULL, NULL},
    {"kcore", Kcore, kClaim, kMachine, "opens the kernel's memory", "no capabilities", NULL, NULL},
    {"kmsg", Kmsg, kClaim, kMachine, "opens the kernel's log", "no capabilities", NULL, NULL},
    {"kallsyms", KernelSymbols, kClaim, kMachine, "reads addresses of the kernel", "no capabilities", NULL, NULL},
    {"iomem", PhysicalMemory, kClaim, kMachine, "reads physical addresses", "no capabilities", NULL, NULL},
    {"timer-list", TimerList, kClaim, kMachine, "opens the list of timers", "an id that owns nothing", NULL, NULL},
    {"slabinfo", SlabInfo, kClaim, kMachine, "opens the list of kernel objects", "an id that owns nothing", NULL, NULL},
    {"vmallocinfo", VmallocInfo, kClaim, kMachine, "opens the map of kernel memory", "an id that owns nothing", NULL, NULL},
    {"kpageflags", KernelPages, kClaim, kMachine, "opens the flags of physical pages", "an id that owns nothing", NULL, NULL},
    {"proc-keys", Keys, kClaim, kMachine, "finds the launcher's keys in /proc/keys", "own /proc, masked", NULL, NULL},
    {"own-oom-score", OwnOomScore, kClaim, kMachine, "makes itself the last to be killed for memory", "no capabilities, read-only /proc", NULL, NULL},
    {"sysfs-write", Huge, kClaim, kMachine, "opens a setting in /sys", "no /sys", NULL, NULL},
    {"uevent-helper", UeventHelper, kClaim, kMachine, "opens the setting of what runs at device events", "no /sys", NULL, NULL},
    {"power-state", PowerState, kClaim, kMachine, "opens the switch that suspends the machine", "no /sys", NULL, NULL},
    {"debugfs", Debugfs, kClaim, kMachine, "opens debugfs", "no /sys", NULL, NULL},
    {"tracefs", Tracefs, kClaim, kMachine, "opens the kernel's trace", "no /sys", NULL, NULL},
    {"cgroup-move", CgroupProcesses, kClaim, kMachine, "opens a cgroup to move processes", "no /sys", NULL, NULL},
    {"release-agent", ReleaseAgent, kClaim, kMachine, "opens the setting of what runs when a cgroup is empty", "no /sys", NULL, NULL},
    {0}};
