// What the kernel counts for a user, or hands out of a store of the machine: taken up, it is missing to others who have done
// nothing. All of it ends with the attack.
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

enum { kMiB = 1 << 20 };

static void InotifyInstances(void) {
  // A user has 128 by default.
  for (int i = 0; i < 64; ++i) {
    if (!Step("inotify_init1", inotify_init1(IN_CLOEXEC))) return;
  }
  Succeeded("64 instances of inotify");
}

static void InotifyWatches(void) {
  const int inotify = inotify_init1(IN_CLOEXEC);
  char directory[64];
  snprintf(directory, sizeof directory, "/tmp/watches-%s", Nonce());
  if (!Step("inotify_init1", inotify) || !Step("mkdir", mkdir(directory, 0700))) return;
  const int place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int count = 0;
  for (bool more = true; more && count < 10000; ++count) {
    char path[96];
    snprintf(path, sizeof path, "%s/%d", directory, count);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    more = Step("open", fd) && Step("inotify_add_watch", inotify_add_watch(inotify, path, IN_MODIFY));
    close(fd);
  }
  if (count == 10000) Succeeded("10000 watches");
  for (int i = 0; i < count; ++i) {
    char name[16];
    snprintf(name, sizeof name, "%d", i);
    unlinkat(place, name, 0);
  }
  rmdir(directory);
}

static void PendingSignals(void) {
  // Each timer holds a place among the signals that wait. timer_create(2).
  for (int i = 0; i < 2000; ++i) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    if (!Step("timer_create", timer_create(CLOCK_MONOTONIC, &event, &timer))) return;
  }
  Succeeded("2000 timers");
}

static void MessageQueues(void) {
  // A user has 800 KiB by default. mq_overview(7).
  int count = 0;
  for (bool more = true; more && count < 6; count += more) {
    char name[64];
    snprintf(name, sizeof name, "/brood-quota-%s-%d", Nonce(), count);
    const struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    more = Step("mq_open", mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes));
    mq_unlink(name);  // It goes with its descriptor, and counts until then.
  }
  if (count == 6) Succeeded("six queues");
}

static void HugePages(void) {
  void* const memory = mmap(NULL, 2u * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  Report("mmap with MAP_HUGETLB", memory == MAP_FAILED ? -1 : 0);
}

static void HugeFile(void) {
  const int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
  if (!Step("memfd_create with MFD_HUGETLB", fd) || !Step("ftruncate", ftruncate(fd, 2u * kMiB))) return;
  void* const memory = mmap(NULL, 2u * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  Report("mmap", memory == MAP_FAILED ? -1 : 0);
}

static void HugeSharedMemory(void) {
  const int id = shmget(IPC_PRIVATE, 2u * kMiB, IPC_CREAT | SHM_HUGETLB | 0600);
  if (Report("shmget with SHM_HUGETLB", id)) shmctl(id, IPC_RMID, NULL);
}

static void PageTables(void) {
  // One page of tables for each 2 MiB, of which nothing but the kernel's page of zeros is read.
  const size_t stride = 2u * kMiB;
  const size_t size = stride * 12 * 1024;
  const volatile char* const memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!Step("mmap", memory == MAP_FAILED ? -1 : 0)) return;
  madvise((void*)memory, size, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < size; at += stride) (void)memory[at];
  Succeeded("48 MiB of page tables");
}

static void SocketBuffers(void) {
  size_t bytes = 0;
  for (int i = 0; i < 400 && bytes < 48u * kMiB; ++i) {
    int ends[2];
    if (!Step("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))) return;
    static char block[4096];
    for (ssize_t sent; (sent = send(ends[0], block, sizeof block, MSG_NOSIGNAL)) > 0;) bytes += (size_t)sent;
  }
  if (bytes >= 48u * kMiB) Succeeded("48 MiB in sockets");
}

static void AsynchronousRequests(void) {
  // /proc/sys/fs/aio-max-nr, 65,536 by default, is for all processes of the machine, root's included. io_setup(2).
  unsigned long context = 0;
  Report("io_setup", syscall(SYS_io_setup, 4096, &context));
}

static void CoreLimit(void) {
  // At 0 the limit does not count for a core_pattern that is a pipe; brood sets 1, which does. core(5).
  const struct rlimit none = {0, 0};
  struct rlimit now = {1, 1};
  if (!Step("setrlimit", setrlimit(RLIMIT_CORE, &none))) return;
  struct rlimit old;
  syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, &old);
  syscall(SYS_prlimit64, (1L << 32), (1L << 32) | RLIMIT_CORE, &none, NULL);
  getrlimit(RLIMIT_CORE, &now);
  if (now.rlim_cur == 0) {
    Succeeded("RLIMIT_CORE is 0");
  } else {
    Stopped("RLIMIT_CORE stays as it is", 0);
  }
}

const struct Attack kQuotas[] = {
    {"inotify-instances", InotifyInstances, kClaim, kAnywhere, "takes half of the user's instances of inotify", "limit of the user namespace", NULL, NULL},
    {"inotify-watches", InotifyWatches, kClaim, kMachine, "takes 10,000 of the user's watches", "limit of the user namespace", NULL, NULL},
    {"pending-signals", PendingSignals, kClaim, kMachine, "takes 2,000 of the user's places for signals that wait", "limit of pending signals", NULL, NULL},
    {"message-queues", MessageQueues, kClaim, kMachine, "takes most of the user's bytes for POSIX queues", "limit of message queues", NULL, NULL},
    {"huge-pages", HugePages, kClaim, kMachine, "takes a huge page, which counts for no memory limit", "system call filter", NULL, NULL},
    {"huge-file", HugeFile, kClaim, kMachine, "takes one by a file of memory", "system call filter", NULL, NULL},
    {"huge-shared-memory", HugeSharedMemory, kClaim, kMachine, "takes one by System V memory", "system call filter", NULL, NULL},
    {"page-tables", PageTables, kClaim, kMachine, "takes 48 MiB in page tables", "memory limit by cgroup", NULL, "--memory 24M"},
    {"socket-buffers", SocketBuffers, kClaim, kMachine, "takes 48 MiB in sockets", "memory limit by cgroup", NULL, "--memory 24M"},
    {"asynchronous-requests", AsynchronousRequests, kClaim, kMachine, "takes 4,096 of the machine's places for asynchronous I/O", "system call filter", NULL, NULL},
    {"core-limit", CoreLimit, kClaim, kAnywhere, "lets a core_pattern that is a pipe have its core", "system call filter", NULL, NULL},
    {0}};
