// More of everything than there should be. Bounded, so that a machine bears it when nothing stops it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

enum { kMiB = 1 << 20 };

static void Hold(void) { nanosleep(&(struct timespec){0, 500000000}, NULL); }

static void ForkBomb(void) {
  pid_t children[300];
  int count = 0;
  while (count < 300) {
    const pid_t pid = fork();
    if (pid == 0) {
      for (;;) pause();
    }
    if (pid < 0) break;
    children[count++] = pid;
  }
  Report("fork", count == 300 ? 0 : -1);
  for (int i = 0; i < count; ++i) kill(children[i], SIGKILL);
  while (wait(NULL) > 0) {
  }
}

static void* Pause(void* unused) {
  for (;;) pause();
  return unused;
}

static void ThreadBomb(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  for (int i = 0; i < 300; ++i) {
    pthread_t thread;
    errno = pthread_create(&thread, &attributes, Pause, NULL);
    if (errno != 0) {
      Stopped("pthread_create", errno);
      return;
    }
  }
  Succeeded("300 threads");
}

static bool Touch(size_t bytes) {
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!Step("mmap", memory == MAP_FAILED ? -1 : 0)) return false;
  memset(memory, 1, bytes);
  return true;
}

static void MemoryBomb(void) {
  if (!Touch(256u * kMiB)) return;
  Hold();
  Succeeded("256 MiB");
}

static void SpreadMemoryBomb(void) {
  // Each takes less than the limit.
  pid_t children[8];
  for (int i = 0; i < 8; ++i) {
    children[i] = fork();
    if (children[i] == 0) _exit(Touch(32u * kMiB) ? (Hold(), Hold(), 0) : 1);
  }
  int well = 0;
  for (int i = 0; i < 8; ++i) {
    int status = 0;
    if (waitpid(children[i], &status, 0) > 0 && status == 0) ++well;
  }
  Report("256 MiB in 8 processes", well == 8 ? 0 : -1);
}

static bool Fill(int fd, size_t bytes) {
  static char block[kMiB];
  memset(block, 1, sizeof block);
  for (size_t done = 0; done < bytes;) {
    const ssize_t written = write(fd, block, sizeof block);
    if (!Step("write", written)) return false;
    done += (size_t)written;
  }
  return true;
}

static void MemoryFile(void) {
  const int fd = memfd_create("attack", MFD_CLOEXEC);
  if (Step("memfd_create", fd) && Fill(fd, 256u * kMiB)) Succeeded("256 MiB");
}

static void SharedMemory(void) {
  const int id = shmget(IPC_PRIVATE, 256u * kMiB, 0600);
  if (!Step("shmget", id)) return;
  char* memory = shmat(id, NULL, 0);
  shmctl(id, IPC_RMID, NULL);
  if (!Step("shmat", memory == (void*)-1 ? -1 : 0)) return;
  memset(memory, 1, 256u * kMiB);
  Hold();
  Succeeded("256 MiB");
}

static void Fills(const char* directory) {
  const int fd = open(directory, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  if (Step(directory, fd) && Fill(fd, 100u * kMiB)) Succeeded("100 MiB");
}
static void FillsTmp(void) { Fills("/tmp"); }
static void FillsDevShm(void) { Fills("/dev/shm"); }

static void LargeFile(void) {
  const int fd = open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  // Without its content.
  if (Step("open", fd)) Report("write at 1 GiB", pwrite(fd, "x", 1, (off_t)1 << 30));
}

static void ManyDescriptors(void) {
  for (int i = 0; i < 900; ++i) {
    if (!Step("open", open("/dev/null", O_RDONLY))) return;
  }
  Succeeded("900 descriptors");
}

static void PipeBuffers(void) {
  for (int i = 0; i < 48; ++i) {
    int pipe_fds[2];
    if (!Step("pipe", pipe2(pipe_fds, O_NONBLOCK)) || !Step("F_SETPIPE_SZ", fcntl(pipe_fds[1], F_SETPIPE_SZ, kMiB))) return;
    static char block[4096];
    while (write(pipe_fds[1], block, sizeof block) > 0) {
    }
  }
  Succeeded("48 MiB of pipes");
}

static void OutputFlood(void) {
  static char block[kMiB];
  memset(block, 'x', sizeof block);
  for (int i = 0; i < 64; ++i) {
    for (size_t done = 0; done < sizeof block;) {
      const ssize_t written = write(STDOUT_FILENO, block + done, sizeof block - done);
      if (!Step("write", written)) return;
      done += (size_t)written;
    }
  }
}

static void ErrorFlood(void) {
  dup2(STDERR_FILENO, STDOUT_FILENO);
  OutputFlood();
}

static void Spin(void) {
  for (volatile unsigned long i = 0;; ++i) {
  }
}

static void SpinInChildren(void) {
  for (int i = 0; i < 2; ++i) {
    if (fork() == 0) Spin();
  }
  while (wait(NULL) > 0) {
  }
}

static void SpinInRelay(void) {
  // Each child spins for less than the limit, and is followed by another.
  for (;;) {
    if (fork() == 0) {
      struct timespec used = {0, 0};
      while (used.tv_nsec < 50000000) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
      _exit(0);
    }
    wait(NULL);
  }
}

static void ForkStorm(void) {
  // Children that end at once, without end: their parent and all who wait are busy.
  for (;;) {
    if (fork() == 0) _exit(0);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
}

const struct Attack kResources[] = {
    {"fork-bomb", ForkBomb, kClaim, kAnywhere, "makes 300 processes", "process limit", NULL, "--processes 50"},
    {"thread-bomb", ThreadBomb, kClaim, kAnywhere, "makes 300 threads", "process limit", NULL, "--processes 50"},
    {"memory-bomb", MemoryBomb, kClaim, kAnywhere, "takes 256 MiB", "memory limit", NULL, "--memory 64M --allow-weaker memory"},
    {"memory-bomb-spread", SpreadMemoryBomb, kClaim, kAnywhere, "takes 256 MiB in 8 processes", "memory limit", NULL, "--memory 64M --allow-weaker memory"},
    {"memory-file", MemoryFile, kClaim, kAnywhere, "takes 256 MiB in a file of memory", "memory limit by cgroup", NULL, "--memory 64M"},
    {"shared-memory", SharedMemory, kClaim, kAnywhere, "takes 256 MiB of System V memory", "memory limit by cgroup", NULL, "--memory 64M"},
    {"pipe-buffers", PipeBuffers, kClaim, kMachine, "takes 48 MiB in pipes", "memory limit by cgroup", NULL, "--memory 24M"},
    {"fills-tmp", FillsTmp, kClaim, kAnywhere, "writes 100 MiB to /tmp", "private tmpfs with a size", NULL, NULL},
    {"fills-dev-shm", FillsDevShm, kClaim, kAnywhere, "writes 100 MiB to /dev/shm", "private tmpfs with a size", NULL, NULL},
    {"large-file", LargeFile, kClaim, kAnywhere, "makes a file of 1 GiB", "file size limit", NULL, "--file-size 1M"},
    {"many-descriptors", ManyDescriptors, kClaim, kAnywhere, "opens 900 descriptors", "descriptor limit", NULL, "--open-files 256"},
    {"output-flood", OutputFlood, kOutput, kAnywhere, "writes 64 MiB to standard output", "output limit", NULL, "--output 1M"},
    {"error-flood", ErrorFlood, kOutput, kAnywhere, "writes 64 MiB to standard error", "output limit", NULL, "--output 1M"},
    {"spins", Spin, kTime, kAnywhere, "uses the CPU without end", "CPU time limit", NULL, "--cpu-time 300ms --allow-weaker cpu_time"},
    {"spins-in-children", SpinInChildren, kTime, kAnywhere, "does so in two children", "CPU time limit of the tree", NULL, "--cpu-time 300ms --allow-weaker cpu_time"},
    {"spins-in-relay", SpinInRelay, kTime, kAnywhere, "does so in one child after the other", "CPU time limit of the tree", NULL, "--cpu-time 300ms --allow-weaker cpu_time"},
    {"fork-storm", ForkStorm, kTime, kAnywhere, "starts and ends children without end", "guardian outside", NULL, "--wall-time 500ms"},
    {0}};
