// Rights: capabilities, ids, limits, priorities, and programs that give more.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void NoNewPrivsIsUnset(void) {
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) Succeeded("no_new_privs is not set");
  Stopped("no_new_privs is set", 0);
}

static unsigned long long StatusBits(const char* name) {
  FILE* file = fopen("/proc/self/status", "re");
  char line[256];
  unsigned long long bits = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0) bits = strtoull(line + strlen(name), NULL, 16);
  }
  return bits;
}

static void EffectiveCapabilities(void) {
  if (StatusBits("CapEff:\t") != 0 || StatusBits("CapPrm:\t") != 0) Succeeded("capabilities are there");
  Stopped("no capabilities", 0);
}

static void BoundingSet(void) {
  if (StatusBits("CapBnd:\t") != 0) Succeeded("the bounding set is not empty");
  Stopped("an empty bounding set", 0);
}

static void InheritableSet(void) {
  // What a program file can turn into rights. CVE-2022-29162, CVE-2022-27650.
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (!Step("capget", syscall(SYS_capget, &header, data))) return;
  data[0].inheritable = 1u << CAP_CHOWN;
  Report("capset", syscall(SYS_capset, &header, data));
}

static void BecomesRoot(void) { Report("setresuid", syscall(SYS_setresuid, 0, 0, 0)); }
static void BecomesRootsGroup(void) { Report("setresgid", syscall(SYS_setresgid, 0, 0, 0)); }
static void TakesGroups(void) {
  const gid_t groups[] = {0, 4};
  Report("setgroups", syscall(SYS_setgroups, 2, groups));
}
static void SecureBits(void) { Report("PR_SET_SECUREBITS", prctl(PR_SET_SECUREBITS, 0, 0, 0, 0)); }

static void SetIdProgram(void) {
  static const char* const kPrograms[] = {"/usr/bin/su", "/bin/su", "/usr/bin/mount", "/bin/mount", "/usr/bin/umount"};
  const char* program = NULL;
  for (size_t i = 0; i < sizeof kPrograms / sizeof *kPrograms && program == NULL; ++i) {
    struct stat status;
    if (stat(kPrograms[i], &status) == 0 && (status.st_mode & S_ISUID) != 0) program = kPrograms[i];
  }
  if (program == NULL) {
    Stopped("no set-user-id program is visible", 0);
    return;
  }
  // It blocks when it prints its help into a pipe that is full, so that its ids can be looked at.
  int full[2];
  if (!Step("pipe", pipe2(full, O_NONBLOCK))) return;
  while (write(full[1], "x", 1) == 1) {
  }
  fcntl(full[1], F_SETFL, 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(full[1], STDOUT_FILENO);
    dup2(full[1], STDERR_FILENO);
    execl(program, program, "--help", (char*)NULL);
    _exit(127);
  }
  bool gained = false;
  bool at_pipe = false;
  for (int i = 0; i < 1000 && !at_pipe; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE* file = fopen(path, "re");
    char line[256];
    unsigned real = 0;
    unsigned effective = 1;
    char name[64] = "attack";
    char state = 'R';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
      sscanf(line, "Name: %63s", name);
      sscanf(line, "State: %c", &state);
      if (sscanf(line, "Uid: %u %u", &real, &effective) == 2 && real != 0 && effective == 0) gained = true;
    }
    // With whatever ids it got: it is the other program, and waits for its pipe.
    at_pipe = gained || (state == 'S' && strcmp(name, "attack") != 0);
    if (file != NULL) fclose(file);
    if (waitpid(pid, NULL, WNOHANG) != 0) break;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
  kill(pid, SIGKILL);
  if (gained) Succeeded(program);
  Stopped("no rights are gained", 0);
}

static void SetIdFile(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (!Step("open", fd)) return;
  Report("fchmod", fchmod(fd, 04755));
  unlink(path);
}

static void SetIdFileAtOnce(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 06755);
  Report("open", fd);
  unlink(path);
}

static void SetIdByOpenat2(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  struct {
    unsigned long long flags, mode, resolve;
  } how = {O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 06755, 0};
  Report("openat2", syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
  unlink(path);
}

static void SetIdByMknod(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  if (!Report("mknod", mknod(path, S_IFREG | 06755, 0))) return;
  unlink(path);
}

static void SetIdWithoutName(void) { Report("O_TMPFILE", open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 06755)); }

static void SetIdByFchmodat2(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  if (!Step("open", open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755))) return;
  Report("fchmodat2", syscall(452, AT_FDCWD, path, 04755, 0));
  unlink(path);
}

static void SetGroupIdDirectory(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  if (!Step("mkdir", mkdir(path, 0755))) return;
  Report("chmod", chmod(path, 02755));
  rmdir(path);
}

static void FileCapability(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/set-id-%s", Nonce());
  if (!Step("open", open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755))) return;
  // VFS_CAP_REVISION_2, effective: CAP_CHOWN. linux/capability.h
  static const unsigned kCapability[5] = {0x02000001, 1, 0, 0, 0};
  Report("setxattr", setxattr(path, "security.capability", kCapability, sizeof kCapability, 0));
  unlink(path);
}

static void RaisesHardLimit(void) {
  struct rlimit limit;
  if (!Step("getrlimit", getrlimit(RLIMIT_NOFILE, &limit))) return;
  limit.rlim_max += 1;
  Report("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
}

// Above what it was born with: a caller may run at any priority, and to go down from there is nobody's harm.
static void RaisesPriority(void) { Report("setpriority", setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1)); }
static void RealTime(void) {
  const struct sched_param parameters = {.sched_priority = 1};
  Report("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &parameters));
}
static void Deadline(void) {
  struct {
    unsigned size, policy;
    unsigned long long flags;
    int nice;
    unsigned priority;
    unsigned long long runtime, deadline, period;
  } attributes = {48, 6, 0, 0, 0, 1000000, 10000000, 10000000};
  Report("SCHED_DEADLINE", syscall(SYS_sched_setattr, 0, &attributes, 0));
}
static void RealTimeIo(void) { Report("ioprio_set", syscall(SYS_ioprio_set, 1, 0, (1 << 13) | 4)); }
static void LocksMemory(void) {
  // One MiB more than is allowed.
  struct rlimit limit;
  if (!Step("getrlimit", getrlimit(RLIMIT_MEMLOCK, &limit))) return;
  if (limit.rlim_cur > (64u << 20)) limit.rlim_cur = 8u << 20;
  const size_t size = limit.rlim_cur + (1u << 20);
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!Step("mmap", memory == MAP_FAILED ? -1 : 0)) return;
  if (StatusBits("CapEff:\t") == 0 && mlock(memory, size) == 0) {
    Stopped("its limit allows as much", 0);
    return;
  }
  Report("mlock", mlock(memory, size));
}
static void NoRandomAddresses(void) { Report("personality", personality(ADDR_NO_RANDOMIZE)); }
static void ReadImpliesExec(void) { Report("personality", personality(READ_IMPLIES_EXEC)); }
static void ChangesRoot(void) { Report("chroot", chroot("/")); }

static void BreaksOutOfRoot(void) {
  // A process whose directory is above its root is not held by it. chroot(2).
  char path[128];
  snprintf(path, sizeof path, "/tmp/root-%s", Nonce());
  if (!Step("mkdir", mkdir(path, 0700))) return;
  const long result = chroot(path);
  rmdir(path);
  if (!Step("chroot", result)) return;
  for (int i = 0; i < 64; ++i) {
    if (chdir("..") != 0) break;
  }
  if (Step("chroot", chroot("."))) LeakFile(Fact("secret"));
}

static void SetsHostName(void) {
  char name[256] = "";
  if (!Step("gethostname", gethostname(name, sizeof name - 1))) return;
  Report("sethostname", sethostname(name, strlen(name)));
}
static void SetsDomainName(void) {
  char name[256] = "";
  if (!Step("getdomainname", getdomainname(name, sizeof name - 1))) return;
  Report("setdomainname", setdomainname(name, strlen(name)));
}

const struct Attack kPrivileges[] = {
    {"no-new-privs", NoNewPrivsIsUnset, kClaim, kAnywhere, "may gain rights by an exec", "no_new_privs", NULL, NULL},
    {"capabilities", EffectiveCapabilities, kClaim, kRoot, "has capabilities", "empty sets", NULL, NULL},
    {"bounding-set", BoundingSet, kClaim, kAnywhere, "has capabilities in its bounding set", "empty sets", NULL, NULL},
    {"inheritable-set", InheritableSet, kClaim, kRoot, "puts a capability into its inheritable set", "empty sets", NULL, NULL},
    {"setuid", BecomesRoot, kClaim, kRoot, "becomes root", "user namespace without root", NULL, NULL},
    {"setgid", BecomesRootsGroup, kClaim, kRoot, "joins root's group", "user namespace without root", NULL, NULL},
    {"setgroups", TakesGroups, kClaim, kRoot, "takes supplementary groups", "no capabilities", NULL, NULL},
    {"securebits", SecureBits, kClaim, kRoot, "changes the secure bits", "no capabilities, locked bits", NULL, NULL},
    {"set-id-program", SetIdProgram, kClaim, kUser, "gains root's rights by a set-user-id program", "no_new_privs, nosuid", NULL, NULL},
    {"set-id-file", SetIdFile, kClaim, kAnywhere, "gives a file the set-user-id bit", "system call filter", NULL, NULL},
    {"set-id-create", SetIdFileAtOnce, kClaim, kAnywhere, "creates a file with both set-id bits", "system call filter", NULL, NULL},
    {"set-id-openat2", SetIdByOpenat2, kClaim, kAnywhere, "the same by openat2, whose mode is in memory", "system call filter", NULL, NULL},
    {"set-id-mknod", SetIdByMknod, kClaim, kAnywhere, "creates such a file by mknod", "system call filter", NULL, NULL},
    {"set-id-tmpfile", SetIdWithoutName, kClaim, kMachine, "creates such a file that has no name yet", "system call filter", NULL, NULL},
    {"set-id-fchmodat2", SetIdByFchmodat2, kClaim, kMachine, "gives a file the bit by fchmodat2", "system call filter", NULL, NULL},
    {"set-id-directory", SetGroupIdDirectory, kClaim, kAnywhere, "gives a directory the set-group-id bit", "system call filter", NULL, NULL},
    {"file-capability", FileCapability, kClaim, kRoot, "gives a file a capability", "no capabilities", NULL, NULL},
    {"hard-limit", RaisesHardLimit, kClaim, kMachine, "raises a hard limit", "no capabilities", NULL, NULL},
    {"nice", RaisesPriority, kClaim, kRoot, "raises its priority", "no capabilities", NULL, NULL},
    {"real-time", RealTime, kClaim, kRoot, "becomes a real-time process", "no capabilities", NULL, NULL},
    {"deadline", Deadline, kClaim, kMachine, "reserves CPU time by SCHED_DEADLINE", "no capabilities", NULL, NULL},
    {"real-time-io", RealTimeIo, kClaim, kRoot, "takes real-time I/O priority", "no capabilities", NULL, NULL},
    {"mlock", LocksMemory, kClaim, kRoot, "locks more memory than its limit", "no capabilities", NULL, NULL},
    {"no-aslr", NoRandomAddresses, kClaim, kAnywhere, "turns off random addresses", "system call filter", NULL, NULL},
    {"read-implies-exec", ReadImpliesExec, kClaim, kAnywhere, "makes all its memory executable", "system call filter", NULL, NULL},
    {"chroot", ChangesRoot, kClaim, kRoot, "changes its root", "system call filter", NULL, NULL},
    {"chroot-break", BreaksOutOfRoot, kSecret, kRoot, "leaves its root by another chroot", "system call filter, pivot_root", NULL, NULL},
    {"sethostname", SetsHostName, kClaim, kRoot, "sets the host name (to what it is)", "no capabilities, system call filter", NULL, NULL},
    {"setdomainname", SetsDomainName, kClaim, kRoot, "sets the domain name (to what it is)", "no capabilities, system call filter", NULL, NULL},
    {0}};
